"""From which context length on the sparse pipeline is faster than dense attention, with the interval that the rounds allow.

Between two measured lengths the logarithm of dense time / sparse time is taken to be linear in the logarithm of the length, which
is exact for power laws. Nothing is said of lengths outside those measured. The interval is a percentile bootstrap over the rounds
of each length (dense and sparse keep the rounds drawn together), with each length's noise on top; the error of the interpolation is
not in it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dsabench.bench.intervals import BOOTSTRAP_RESAMPLES, paired_ratio
from dsabench.bench.scaling.lengths import format_length, format_range

_DEVIATIONS = 1.96
"""of a normal distribution, from its middle to the end of its 95 % interval"""

Winner = Literal["sparse", "dense", "tie"]
Kind = Literal["crosses", "sparse_always", "dense_always", "reversed", "many", "tie"]


@dataclass(frozen=True)
class Race:
    """Dense and sparse at one length. `dense_s[i]` and `sparse_s[i]` are of the same round; noise: relative gap below which the two
    count as equal, the half-width of a 95 % interval."""

    length: int
    dense_s: Sequence[float]
    sparse_s: Sequence[float]
    noise: float = 0.0


@dataclass(frozen=True)
class Crossing:
    """One change of the winner: at `length`, 95 % interval `low` to `high`; `to`: who wins beyond it."""

    length: float
    low: float
    high: float
    to: Winner

    def words(self) -> str:
        return f"{format_length(self.length)} ({format_range(self.low, self.high)})"


@dataclass(frozen=True)
class Crossover:
    """kind: `crosses` (dense wins below, sparse above), `sparse_always`, `dense_always` (at every length that is no tie),
    `reversed` (sparse below, dense above), `many` (the winner changes more than once), `tie` (neither ever wins). `winners`: by
    length, ascending."""

    kind: Kind
    crossings: tuple[Crossing, ...]
    winners: dict[int, Winner]

    def words(self, phase: str) -> str:
        """One sentence without its full stop, e.g. `sparse decode wins from 9.1K (8.4–9.9K)`."""
        lengths = list(self.winners)
        shortest, longest = format_length(lengths[0]), format_length(lengths[-1])
        won = [length for length, winner in self.winners.items() if winner != "tie"]
        measured = shortest if len(lengths) == 1 else f"{shortest} to {longest}"
        tied = [
            format_length(length)
            for length, winner in self.winners.items()
            if winner == "tie" and not any(each.low <= length <= each.high for each in self.crossings)
        ]
        ties = f"; neither wins at {', '.join(tied)}" if tied and self.kind != "tie" else ""
        match self.kind:
            case "crosses":
                text = f"sparse {phase} wins from {self.crossings[0].words()}"
            case "reversed":
                text = f"sparse {phase} wins only up to {self.crossings[0].words()}, dense beyond"
            case "sparse_always":
                text = f"sparse {phase} wins already at the shortest length measured ({shortest})"
                if self.winners[lengths[0]] == "tie":
                    text = f"of the lengths measured, sparse {phase} wins from {format_length(won[0])} on"
            case "dense_always":
                text = f"dense {phase} still wins at the longest length measured ({longest})"
                if self.winners[lengths[-1]] == "tie":
                    text = f"of the lengths measured, dense {phase} wins up to {format_length(won[-1])}"
            case "many":
                changes = ", ".join(f"{each.to} from {each.words()}" for each in self.crossings)
                text = f"dense and sparse {phase} cross more than once: {changes}"
            case "tie":
                text = f"neither dense nor sparse {phase} wins beyond the noise at any length measured ({measured})"
        return text + ties


def crossover(races: Sequence[Race], seed: int, confidence: float = 0.95) -> Crossover:
    """`races` in ascending order of length, at least one. A length whose ratio's interval holds 1, or whose gap is within its noise,
    is a tie and decides nothing: a crossing lies between the last length that one side wins and the first that the other does."""
    if not races or any(a.length >= b.length for a, b in itertools.pairwise(races)):
        raise ValueError("a crossover needs lengths in ascending order, at least one")
    winners = {race.length: _winner(race, seed, confidence) for race in races}
    decided = [i for i, race in enumerate(races) if winners[race.length] != "tie"]
    changes = [(i, j) for i, j in itertools.pairwise(decided) if winners[races[i].length] != winners[races[j].length]]
    crossings = tuple(
        _crossing(races[i : j + 1], winners[races[j].length], seed + n, confidence) for n, (i, j) in enumerate(changes)
    )
    first = winners[races[decided[0]].length] if decided else "tie"
    kind: Kind
    if not decided:
        kind = "tie"
    elif not changes:
        kind = "sparse_always" if first == "sparse" else "dense_always"
    elif len(changes) > 1:
        kind = "many"
    else:
        kind = "crosses" if first == "dense" else "reversed"
    return Crossover(kind, crossings, winners)


def _winner(race: Race, seed: int, confidence: float) -> Winner:
    ratio = paired_ratio(race.dense_s, race.sparse_s, seed, confidence)
    if ratio.low <= 1.0 <= ratio.high or abs(ratio.ratio - 1.0) <= race.noise:
        return "tie"
    return "sparse" if ratio.ratio > 1.0 else "dense"


def _crossing(races: Sequence[Race], to: Winner, seed: int, confidence: float) -> Crossing:
    """Of lengths the first of which one side wins, the last the other, and all between are ties."""
    sign = 1.0 if to == "sparse" else -1.0
    x = np.log([float(race.length) for race in races])
    random = np.random.default_rng(seed)
    drawn, middle = [], []
    for race in races:
        dense, sparse = np.asarray(race.dense_s, dtype=np.float64), np.asarray(race.sparse_s, dtype=np.float64)
        draws = random.integers(0, dense.size, size=(BOOTSTRAP_RESAMPLES, dense.size))
        shift = race.noise / _DEVIATIONS * random.standard_normal(BOOTSTRAP_RESAMPLES)
        drawn.append(sign * np.log(np.median(dense[draws], axis=1) / np.median(sparse[draws], axis=1)) + shift)
        middle.append(sign * np.log(np.median(dense) / np.median(sparse)))
    edge = (1.0 - confidence) / 2.0
    low, high = np.quantile([_last_zero(x, row) for row in np.stack(drawn, axis=1)], [edge, 1.0 - edge])
    at = _last_zero(x, np.asarray(middle))
    length, low, high = (float(np.exp(value)) for value in (at, min(float(low), at), max(float(high), at)))
    return Crossing(length, low, high, to)


def _last_zero(x: np.ndarray, y: np.ndarray) -> float:
    """Where the line through the points goes above 0 for the last time; the nearer end where it does not within them."""
    if y[-1] <= 0.0:
        return float(x[-1])
    below = np.flatnonzero(y <= 0.0)
    if not below.size:
        return float(x[0])
    i = int(below[-1])
    return float(x[i] - y[i] * (x[i + 1] - x[i]) / (y[i + 1] - y[i]))
