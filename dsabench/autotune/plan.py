"""What a run is to do: pairs of workload and implementation, in the order in which they are served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dsabench.kernels.implementation import Implementation
from dsabench.kernels.op import UnknownNameError
from dsabench.kernels.registry import get_implementation, implementation_names
from dsabench.kernels.workload import Workload

BASELINE = "torch"
"""The implementation every other is compared with: what a user would write in eager torch."""


@dataclass(frozen=True)
class Pair:
    """`search` is False for a baseline that was not asked for: its default is measured, nothing more."""

    workload: Workload
    implementation: Implementation
    search: bool

    @property
    def weight(self) -> int:
        """Its part of the time for searching: the baseline counts by its default, its search is a courtesy."""
        if not self.search:
            return 0
        return 1 if self.implementation.name == BASELINE else 3

    @property
    def name(self) -> str:
        return f"{self.implementation.id} {self.workload.label()}"


@dataclass(frozen=True)
class Plan:
    workloads: tuple[Workload, ...]
    pairs: tuple[Pair, ...]
    unavailable: tuple[str, ...]
    """implementations left out, each with its reason"""

    def of(self, workload: Workload) -> list[Pair]:
        return [pair for pair in self.pairs if pair.workload == workload]

    def implementations(self) -> list[Implementation]:
        """Each once, in the order met."""
        return list({pair.implementation.id: pair.implementation for pair in self.pairs}.values())


def breadth_first(workloads: Iterable[Workload]) -> list[Workload]:
    """First one workload of every op, then the rest, each op's spread evenly: a run that ends early has something of each, in
    proportion. Within an op the suite's order holds."""
    by_op: dict[str, list[Workload]] = {}
    for workload in workloads:
        by_op.setdefault(workload.op, []).append(workload)
    ranked = [
        (0.0 if i == 0 else (i + 0.5) / len(each), position, workload)
        for position, each in enumerate(by_op.values())
        for i, workload in enumerate(each)
    ]
    return [workload for _, _, workload in sorted(ranked, key=lambda item: item[:2])]


def make_plan(workloads: Sequence[Workload], impls: Sequence[str], device_type: str) -> Plan:
    """Raises UnknownNameError when an implementation asked for exists for none of the ops."""
    ops = list(dict.fromkeys(w.op for w in workloads))
    known = sorted({name for op in ops for name in implementation_names(op)})
    for name in impls:
        if name not in known:
            raise UnknownNameError("implementation", name, known)
    pairs: list[Pair] = []
    unavailable: dict[str, None] = {}
    ordered = breadth_first(workloads)
    for workload in ordered:
        for name in implementation_names(workload.op):
            wanted = not impls or name in impls
            if not wanted and name != BASELINE:
                continue
            implementation = get_implementation(workload.op, name)
            if device_type not in implementation.device_types:
                continue
            reason = implementation.unavailable()
            if reason:
                unavailable[f"{implementation.id}: {reason}"] = None
                continue
            pairs.append(Pair(workload, implementation, wanted))
    served = [w for w in ordered if any(p.workload == w and p.search for p in pairs)]
    for op in ops:
        if op not in {w.op for w in served}:
            unavailable[f"{op}: no implementation for {device_type} can run here"] = None
    return Plan(tuple(served), tuple(p for p in pairs if p.workload in served), tuple(unavailable))
