"""Which row of the candidate belongs to which of the baseline, by what each tree offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsabench.bench.jobs import Offer
from dsabench.kernels.workload import Workload


@dataclass(frozen=True)
class OfferPair:
    """One row of the gate; a side that has none is None. Both have the same workload."""

    baseline: Offer | None
    candidate: Offer | None

    @property
    def workload(self) -> Workload:
        offer = self.candidate or self.baseline
        assert offer is not None
        return offer.workload

    @property
    def impl(self) -> str:
        offer = self.candidate or self.baseline
        assert offer is not None
        return offer.impl

    @property
    def renamed_from(self) -> str | None:
        if self.baseline is None or self.candidate is None or self.baseline.impl == self.candidate.impl:
            return None
        return self.baseline.impl


def pair_offers(baseline: Sequence[Offer], candidate: Sequence[Offer]) -> list[OfferPair]:
    """In the order of the candidate's offers, then what only the baseline has. An implementation that only one side has is a
    renamed one where the op has exactly one such on each side and both offer the same workloads."""
    before = {(o.workload.key, o.impl): o for o in baseline}
    after = {(o.workload.key, o.impl): o for o in candidate}
    renamed = _renamed(list(before.values()), list(after.values()))
    pairs = []
    taken = set()
    for (key, impl), offer in after.items():
        old = renamed.get((offer.workload.op, impl), impl)
        taken.add((key, old))
        pairs.append(OfferPair(before.get((key, old)), offer))
    return pairs + [OfferPair(offer, None) for key, offer in before.items() if key not in taken]


def _renamed(before: list[Offer], after: list[Offer]) -> dict[tuple[str, str], str]:
    """(op, new name) → old name."""

    def workloads(offers: list[Offer]) -> dict[tuple[str, str], set[str]]:
        found: dict[tuple[str, str], set[str]] = {}
        for offer in offers:
            found.setdefault((offer.workload.op, offer.impl), set()).add(offer.workload.key)
        return found

    old, new = workloads(before), workloads(after)
    names: dict[tuple[str, str], str] = {}
    for op in {op for op, _ in new}:
        gone = [impl for each, impl in old if each == op and (op, impl) not in new]
        come = [impl for each, impl in new if each == op and (op, impl) not in old]
        if len(gone) == len(come) == 1 and old[op, gone[0]] == new[op, come[0]]:
            names[op, come[0]] = gone[0]
    return names
