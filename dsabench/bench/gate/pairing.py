"""Which row of the candidate belongs to which of the baseline, by what each tree offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsabench.bench.gate.renamed import Name, renamed
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
    """In the order of the candidate's offers, then what only the baseline has; what is `renamed` meets its old name."""
    before = {(o.workload.key, o.impl): o for o in baseline}
    names = renamed(_workloads(baseline), _workloads(candidate))
    pairs = []
    taken = set()
    for offer in candidate:
        _, old = names.get((offer.workload.op, offer.impl), (offer.workload.op, offer.impl))
        taken.add((offer.workload.key, old))
        pairs.append(OfferPair(before.get((offer.workload.key, old)), offer))
    return pairs + [OfferPair(offer, None) for place, offer in before.items() if place not in taken]


def _workloads(offers: Sequence[Offer]) -> dict[Name, set[str]]:
    found: dict[Name, set[str]] = {}
    for offer in offers:
        found.setdefault((offer.workload.op, offer.impl), set()).add(offer.workload.key)
    return found
