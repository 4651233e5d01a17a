"""What every TileLang implementation has in common: where it runs, and that it runs what it plans."""

from __future__ import annotations

from collections.abc import Callable

from dsabench.kernels.cuda.source import runner
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.op import Axes
from dsabench.kernels.tilelang import runtime
from dsabench.kernels.tilelang.launch import TileLangPlan


def tilelang_implementation(
    op: str,
    summary: str,
    tunables: tuple[Tunable, ...],
    default_config: Callable[[Axes], dict[str, ConfigValue]],
    constraint: Callable[[Config, Axes], str | None],
    plan: TileLangPlan,
    describe: Callable[[Config], str] = lambda config: "",
) -> Implementation:
    """The `tilelang` implementation of an op, see Implementation for the arguments."""
    return Implementation(
        op=op,
        name="tilelang",
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
