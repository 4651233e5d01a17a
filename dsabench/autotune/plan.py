"""What a run is to do: pairs of workload and implementation, in the order in which they are served."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dsabench.bench.device import DeviceError
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.ledger import needs_hardware
from dsabench.kernels.op import UnknownNameError
from dsabench.kernels.registry import get_implementation, implementation_names
from dsabench.kernels.workload import Workload

BASELINE = "torch"
"""The implementation every other is compared with: what a user would write in eager torch."""


NOT_TIMED = (
    "needs an NVIDIA GPU to be timed; without one `dsabench inspect` compiles its configs for sm_90a and `dsabench verify` checks "
    "it in Triton's interpreter"
)
NEEDS_GPU = "needs an NVIDIA GPU"
"""of a kernel that does not say what it launches: nothing can be known of it without one"""


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
    """Leaves out what cannot run on the device as it is: a kernel that would only be emulated is never timed. Raises
    UnknownNameError when an implementation asked for exists for none of the ops, DeviceError when of those asked for none can be
    timed on the device."""
    ops = list(dict.fromkeys(w.op for w in workloads))
    known = sorted({name for op in ops for name in implementation_names(op)})
    for name in impls:
        if name not in known:
            raise UnknownNameError("implementation", name, known)
    pairs: list[Pair] = []
    unavailable: dict[str, None] = {}
    untimed: dict[str, dict[str, None]] = {}  # by name: the ops, in the order met
    ordered = breadth_first(workloads)
    for workload in ordered:
        for name in implementation_names(workload.op):
            wanted = not impls or name in impls
            if not wanted and name != BASELINE:
                continue
            implementation = get_implementation(workload.op, name)
            if implementation.emulated() or device_type not in implementation.device_types:
                if device_type == "cpu" and needs_hardware(implementation):
                    if implementation.plan is None and not implementation.emulated():
                        unavailable[f"{implementation.id}: {NEEDS_GPU}"] = None
                    else:
                        untimed.setdefault(name, {})[workload.op] = None
                continue
            reason = implementation.unavailable()
            if reason:
                unavailable[f"{implementation.id}: {reason}"] = None
                continue
            pairs.append(Pair(workload, implementation, wanted))
    if impls and not any(p.search for p in pairs):
        raise DeviceError(_nothing_to_time(impls, device_type, untimed, list(unavailable)))
    for name, waiting in untimed.items():
        unavailable[f"{name} ({', '.join(waiting)}): {NOT_TIMED}"] = None
    served = [w for w in ordered if any(p.workload == w and p.search for p in pairs)]
    for op in ops:
        if op not in {w.op for w in served}:
            unavailable[f"{op}: no implementation for {device_type} can run here"] = None
    return Plan(tuple(served), tuple(p for p in pairs if p.workload in served), tuple(unavailable))


def _nothing_to_time(
    impls: Sequence[str], device_type: str, untimed: Mapping[str, object], unavailable: Sequence[str]
) -> str:
    name = next((name for name in impls if name in untimed), None)
    if name is not None:
        return f"impl {name}: {NOT_TIMED}"
    why = f" ({unavailable[0]})" if unavailable else ""
    return f"no implementation asked for ({', '.join(impls)}) can run on {device_type} here{why}"
