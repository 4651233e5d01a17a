"""What every Triton implementation has in common: where it runs, and that it runs what it plans. Imports no Triton."""

from __future__ import annotations

from collections.abc import Callable

from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.op import Axes
from dsabench.kernels.triton import runtime
from dsabench.kernels.triton.launch import Plan, runner


def triton_implementation(
    op: str,
    summary: str,
    tunables: tuple[Tunable, ...],
    default_config: Callable[[Axes], dict[str, ConfigValue]],
    constraint: Callable[[Config, Axes], str | None],
    plan: Plan,
    describe: Callable[[Config], str] = lambda config: "",
) -> Implementation:
    """The `triton` implementation of an op, see Implementation for the arguments."""
    return Implementation(
        op=op,
        name="triton",
        summary=summary,
        device_types=runtime.device_types(),
        tunables=tunables,
        default_config=default_config,
        run=runner(plan),
        constraint=constraint,
        unavailable=runtime.unavailable,
        describe=describe,
        emulated=runtime.interpreting,
        plan=plan,
    )
