"""How a time grows with the context length: the exponent e of a power law t ∝ L^e, by least squares of logarithms.

A fixed cost of every call flattens a curve at its short end, so the exponent between the last two lengths stands beside the one of
all: the former is nearer to how the curve goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dsabench.bench.intervals import BOOTSTRAP_RESAMPLES

LEAST_LENGTHS = 3
"""A line through two points fits always and says nothing of its fit."""

EXPECTED: dict[str, float] = {"dense": 1.0, "indexer": 1.0, "topk": 1.0, "slots": 0.0, "attention": 0.0}
"""Per token (a decoded one, or one of a chunk at a position) by curve; the whole of a prompt grows with one more. `sparse`, the
whole pipeline, is a sum of both kinds and has no exponent of its own."""


@dataclass(frozen=True)
class Exponent:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Growth:
    """lengths: those that the fit rests on. `overall` needs three, `local` (between the last two) two; None with fewer."""

    curve: str
    lengths: tuple[int, ...]
    overall: Exponent | None
    local: Exponent | None
    expected: float | None


def growth(curve: str, rounds_s: Mapping[int, Sequence[float]], seed: int, expected: float | None = None) -> Growth:
    """`rounds_s[length]` are the seconds of each round at that length, all above 0; intervals: percentile bootstrap over the rounds
    of each length, 95 %."""
    lengths = tuple(sorted(rounds_s))
    rounds = [np.asarray(rounds_s[length], dtype=np.float64) for length in lengths]
    random = np.random.default_rng(seed)
    x = np.log(np.asarray(lengths, dtype=np.float64))
    y = np.log([np.median(each) for each in rounds])
    drawn = np.empty((BOOTSTRAP_RESAMPLES, len(lengths)))
    for i, each in enumerate(rounds):
        picks = random.integers(0, each.size, size=(BOOTSTRAP_RESAMPLES, each.size))
        drawn[:, i] = np.log(np.median(each[picks], axis=1))
    return Growth(
        curve,
        lengths,
        overall=_exponent(x, y, drawn) if len(lengths) >= LEAST_LENGTHS else None,
        local=_exponent(x[-2:], y[-2:], drawn[:, -2:]) if len(lengths) >= 2 else None,
        expected=expected,
    )


def _exponent(x: np.ndarray, y: np.ndarray, drawn: np.ndarray) -> Exponent:
    centred = x - x.mean()
    weights = centred / (centred @ centred)
    value = float(y @ weights)
    low, high = np.quantile(drawn @ weights, [0.025, 0.975])
    return Exponent(value, min(float(low), value), max(float(high), value))
