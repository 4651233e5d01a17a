"""The verdict on one row of the tree gate, from its passes: settled, or to be measured again."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from dsabench.bench.gate.estimate import Estimate, Pass, estimate
from dsabench.bench.gate.pairing import OfferPair
from dsabench.bench.gate.records import RowVerdict
from dsabench.bench.gate.trio import RowFault

LEAST_PASSES = 2
"""Of every row; whoever is not settled by them is a suspect and measured again."""
LEAST_FRESH = 2
"""Passes after it became a suspect that a row needs to be SLOWER: the first ones chose it for being slow."""
MOST_NOISE = 0.10
"""A row whose noise is above can hardly fail: it is UNCLEAR, not SAME."""


@dataclass
class Measured:
    """What is known of a row so far."""

    pair: OfferPair
    passes: list[Pass] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)

    @property
    def tries(self) -> int:
        return len(self.passes) + len(self.faults)

    def add(self, found: Pass | RowFault) -> None:
        if isinstance(found, RowFault):
            self.faults.append(found)
        else:
            self.passes.append(found)


@dataclass(frozen=True)
class Judgement:
    """settled: another pass would hardly change it. estimate: None where nothing was timed."""

    verdict: RowVerdict
    reason: str
    settled: bool
    estimate: Estimate | None = None
    threshold: float | None = None


def judge(row: Measured, typical: float, min_effect: float) -> Judgement:
    """typical: `estimate.typical_variance` of all rows; min_effect: relative."""
    if row.faults:
        return _faulty(row)
    if not row.passes:
        return Judgement(RowVerdict.INVALID, "not reached: the budget ended before", settled=False)
    found = estimate(row.passes, typical)
    threshold = max(min_effect, found.noise)
    verdict, reason = _verdict(row.passes, found, threshold, min_effect)
    excluded = len(row.passes) >= LEAST_PASSES and found.upper < 1.0 + min_effect and found.noise <= MOST_NOISE
    settled = excluded or verdict is RowVerdict.SLOWER
    return Judgement(verdict, reason, settled, found, threshold)


def _faulty(row: Measured) -> Judgement:
    """Twice, in processes of their own, before it counts."""
    fault = row.faults[-1]
    again = len(row.faults) > 1 and not row.passes and all(f.side == fault.side for f in row.faults)
    if fault.side == "gate":
        return Judgement(RowVerdict.INVALID, fault.reason, settled=again)
    if not again:
        return Judgement(
            RowVerdict.UNCLEAR, f"{fault.side} failed in {len(row.faults)} of {row.tries} passes: {fault.reason}", False
        )
    verdict = RowVerdict.BROKEN if fault.side == "candidate" else RowVerdict.MENDED
    return Judgement(verdict, f"{fault.side} fails: {fault.reason}", settled=True)


def _verdict(passes: Sequence[Pass], found: Estimate, threshold: float, min_effect: float) -> tuple[RowVerdict, str]:
    change = f"{found.ratio - 1.0:+.1%}"
    if len(passes) < LEAST_PASSES:
        return RowVerdict.UNCLEAR, f"{change}, measured once: the budget ended before the second pass"
    if found.ratio > 1.0 + threshold:
        fresh = passes[LEAST_PASSES:]
        if len(fresh) < LEAST_FRESH:
            return RowVerdict.UNCLEAR, f"{change}, beyond {threshold:.1%}, but the budget ended before it was confirmed"
        again = math.exp(statistics.fmean(each.change for each in fresh)) - 1.0
        if again > min_effect:
            return RowVerdict.SLOWER, f"{change}, beyond {threshold:.1%}; {again:+.1%} when measured again"
        return RowVerdict.UNCLEAR, f"{change}, but only {again:+.1%} when measured again"
    if found.ratio * (1.0 + threshold) < 1.0:
        return RowVerdict.FASTER, f"{change}, beyond {threshold:.1%}"
    if found.noise > MOST_NOISE:
        return RowVerdict.UNCLEAR, f"{change}, with a noise of {found.noise:.0%}: less than that cannot be seen"
    if found.ratio > 1.0 + min_effect:
        return RowVerdict.UNCLEAR, f"{change}, above {min_effect:.1%} but within the noise of {found.noise:.1%}"
    return RowVerdict.SAME, f"{change}, within {threshold:.1%}"
