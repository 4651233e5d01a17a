"""Which of several things timed in the same interleaved rounds is faster: a verdict for every pair, beyond the noise of the rounds.

The noise is known because one of them was timed twice: whatever two measurements of one thing differ by is no difference between
two. A pair is a tie when the interval of its ratio contains 1 or its gap is within that noise. Each verdict holds for its pair with
the interval's confidence; of twenty pairs of equals one may still come out unequal by its interval, and is kept a tie by the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from dsabench.bench.intervals import RatioInterval, paired_ratio

Verdict = Literal["faster", "slower", "tie", "too few"]
LEAST_ROUNDS = 3
"""A median of two says nothing."""
_MIRRORED: dict[Verdict, Verdict] = {"faster": "slower", "slower": "faster", "tie": "tie", "too few": "too few"}


class PairVerdict(NamedTuple):
    """ratio: time of entry `first` / time of entry `second`, None without enough rounds; verdict: what `first` is against
    `second`."""

    first: int
    second: int
    ratio: RatioInterval | None
    verdict: Verdict

    def mirrored(self) -> PairVerdict:
        """The same pair seen from the other side."""
        ratio = None if self.ratio is None else RatioInterval(*(1.0 / self.ratio[i] for i in (0, 2, 1)))
        return PairVerdict(self.second, self.first, ratio, _MIRRORED[self.verdict])


def noise_floor(same: RatioInterval) -> float:
    """How far from 1 the ratio of a config with itself may lie: the further end of its interval."""
    return max(same.high - 1.0, 1.0 - same.low, 0.0)


def is_tie(ratio: RatioInterval, noise: float) -> bool:
    """Two configs count as equal when the interval of their ratio contains 1 or their gap is within the noise floor."""
    return ratio.low <= 1.0 <= ratio.high or abs(ratio.ratio - 1.0) <= noise


def pair_verdicts(rounds_s: Sequence[Sequence[float]], noise: float, seed: int) -> list[PairVerdict]:
    """Every pair of entries once, the earlier one first. rounds_s[e][r]: seconds of entry `e` in round `r`, all measured in the
    same rounds; noise: see `noise_floor`; seed: of the ratios' bootstrap. With fewer than LEAST_ROUNDS rounds every verdict is
    `too few`. Raises ValueError when the numbers of rounds differ."""
    if len({len(rounds) for rounds in rounds_s}) > 1:
        raise ValueError(f"entries must have the same rounds, got {[len(rounds) for rounds in rounds_s]} of them")
    return [_verdict(i, j, rounds_s, noise, seed) for i in range(len(rounds_s)) for j in range(i + 1, len(rounds_s))]


def _verdict(i: int, j: int, rounds_s: Sequence[Sequence[float]], noise: float, seed: int) -> PairVerdict:
    if len(rounds_s[i]) < LEAST_ROUNDS:
        return PairVerdict(i, j, None, "too few")
    ratio = paired_ratio(rounds_s[i], rounds_s[j], seed)
    # The slower over the faster, so that a pair is a tie or none from both its sides.
    pair = PairVerdict(i, j, ratio, "tie")
    gap = ratio if ratio.ratio >= 1.0 else pair.mirrored().ratio
    assert gap is not None
    return pair if is_tie(gap, noise) else pair._replace(verdict="slower" if ratio.ratio > 1.0 else "faster")
