"""What a whole inspection comes to, for each op and implementation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsabench.bench.inspection_records import Flag, Inspection


@dataclass(frozen=True)
class Summary:
    """configs: inspected, over all workloads; compiled: those that did; distinct: different machine codes among them;
    can_launch: configs that the driver would take; to_try: configs that a tuner need not prune; default: `ok`, or what is wrong
    with the default configs, `not inspected` when none was chosen."""

    op: str
    impl: str
    configs: int
    compiled: int
    distinct: int
    can_launch: int
    to_try: int
    default: str


def summaries(inspections: Sequence[Inspection]) -> list[Summary]:
    """In the order of the inspections."""
    groups: dict[tuple[str, str], list[Inspection]] = {}
    for inspection in inspections:
        groups.setdefault((inspection.op, inspection.impl), []).append(inspection)
    return [
        Summary(
            op=op,
            impl=impl,
            configs=len(group),
            compiled=sum(bool(i.launches) for i in group),
            distinct=len({i.code_identity for i in group if i.launches}),
            can_launch=sum(i.can_launch is True for i in group),
            to_try=sum(i.prune_reason is None for i in group),
            default=_default([i for i in group if i.is_default]),
        )
        for (op, impl), group in groups.items()
    ]


def _default(defaults: Sequence[Inspection]) -> str:
    if not defaults:
        return "not inspected"
    failed = [i.reason for i in defaults if i.reason]
    worst = [flag for flag in Flag if flag != Flag.ONE_BLOCK and any(flag in i.flags for i in defaults)]
    return failed[0] if failed else ", ".join(worst) or "ok"
