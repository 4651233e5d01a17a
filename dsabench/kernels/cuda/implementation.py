"""What every CUDA C++ implementation has in common: where it runs, and that it runs what it plans."""

from __future__ import annotations

from collections.abc import Callable

from dsabench.kernels.cuda import runtime
from dsabench.kernels.cuda.source import CudaPlan, runner
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.op import Axes


def cuda_implementation(
    op: str,
    summary: str,
    tunables: tuple[Tunable, ...],
    default_config: Callable[[Axes], dict[str, ConfigValue]],
    constraint: Callable[[Config, Axes], str | None],
    plan: CudaPlan,
    describe: Callable[[Config], str] = lambda config: "",
) -> Implementation:
    """The `cuda` implementation of an op, see Implementation for the arguments."""
    return Implementation(
        op=op,
        name="cuda",
        summary=summary,
        device_types=("cuda",),
        tunables=tunables,
        default_config=default_config,
        run=runner(plan),
        constraint=constraint,
        unavailable=runtime.unavailable,
        describe=describe,
        plan=plan,
    )
