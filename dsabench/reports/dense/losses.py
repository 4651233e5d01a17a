"""What selecting keys loses, sorted by kind of input and by k."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dsabench.bench.records import LossPoint
from dsabench.bench.scaling.lengths import format_length
from dsabench.bench.scaling.rows import latest_losses

STRUCTURES = {
    "spread": "weight on a large part of all keys",
    "concentrated": "nearly all weight on a few hundred keys",
    "needles": "a few old keys carry most of the weight, among noise",
    "near_ties": "three quarters of all keys score nearly the same",
}
"""The synthetic kinds in short. `bench.losses.structures`, which makes them, needs torch; a test holds the names together."""


@dataclass(frozen=True)
class LossGroup:
    """One kind of input at one context; points by k, ascending, the latest of each."""

    structure: str
    synthetic: bool
    context: int
    points: tuple[LossPoint, ...]

    @property
    def name(self) -> str:
        return self.structure.replace("_", " ") if self.synthetic else self.structure

    @property
    def detail(self) -> str:
        """`synthetic: …; 16 queries of 128 heads, 32K keys`."""
        made = "real inputs, from a file"
        if self.synthetic:
            words = STRUCTURES.get(self.structure)
            made = f"synthetic: {words}" if words else "synthetic"
        first = self.points[0]
        return f"{made}; {first.queries} queries of {first.h_q} heads, {format_length(self.context)} keys"


def loss_groups(losses: Sequence[LossPoint]) -> list[LossGroup]:
    """Synthetic kinds first, in the order measured."""
    groups: dict[tuple[bool, str, int], list[LossPoint]] = {}
    for loss in latest_losses(losses):
        groups.setdefault((not loss.synthetic, loss.structure, loss.context), []).append(loss)
    return [
        LossGroup(structure, not real, context, tuple(sorted(points, key=lambda point: point.k)))
        for (real, structure, context), points in sorted(groups.items(), key=lambda item: item[0][0])
    ]
