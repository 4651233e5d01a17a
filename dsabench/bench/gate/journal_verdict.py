"""The verdict on one row of two journals."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from dsabench.bench.gate.journal_side import Found, JournalSide, Measured, Place
from dsabench.bench.gate.records import RowVerdict
from dsabench.bench.records import Ratio, Status

MOST_NOISE = 0.25
"""Above this nothing is said of a row that is not slower or faster even so: a gate that cannot fail is none."""


@dataclass(frozen=True)
class Pair:
    """One row. before: of each baseline that has it, in their order; old: its name there; same: source and versions are equal in
    all."""

    place: Place
    old: str
    before: tuple[Found, ...]
    after: Found | None
    same: bool


@dataclass(frozen=True)
class Gap:
    """The two sides' times; how: which times they are, "" for winners on both sides; apart: how far the baselines lie apart."""

    baseline: Measured
    candidate: Measured
    how: str
    apart: float

    @property
    def ratio(self) -> Ratio:
        b, c = self.baseline, self.candidate
        return Ratio(ratio=c.median_s / b.median_s, low=c.low_s / b.high_s, high=c.high_s / b.low_s)

    @property
    def within(self) -> float:
        return max(self.baseline.noise, self.candidate.noise)


def gap_between(before: Sequence[Found], after: Found) -> Gap | None:
    """Winners against winners, else defaults against defaults, else the best that each side has. None where a side has no time."""
    timed = [found for found in before if found.timed]
    if not timed or not after.timed:
        return None
    everyone = [*timed, after]
    winners = [found.winner for found in everyone if found.winner]
    defaults = [found.default for found in everyone if found.default]
    if len(winners) == len(everyone):
        chosen, how = winners, ""
    elif len(defaults) == len(everyone):
        chosen, how = defaults, "its default config's, not all of them from interleaved rounds"
    else:
        chosen, how = [found.timed for found in everyone if found.timed], "of trials, not all from interleaved rounds"
    *theirs, ours = chosen
    medians = [m.median_s for m in theirs]
    baseline = Measured(
        config=theirs[-1].config,
        median_s=statistics.median(medians),
        low_s=min(m.low_s for m in theirs),
        high_s=max(m.high_s for m in theirs),
        noise=max(m.noise for m in theirs),
        rounds=min(m.rounds for m in theirs),
    )
    return Gap(baseline, ours, how, max(medians) / min(medians) - 1.0)


def measured_verdict(pair: Pair, gap: Gap, noise: float, min_effect: float) -> tuple[RowVerdict, str]:
    assert pair.after is not None
    ratio, threshold = gap.ratio, max(min_effect, noise)
    how = f"; times: {gap.how}" if gap.how else ""
    change = f"{ratio.ratio - 1.0:+.1%}"
    if pair.after.default_failure and not any(found.default_failure for found in pair.before):
        # The winner may be as fast as ever: whoever has no tuned table runs the default.
        return _broken(pair.after.status), f"its default config fails: {pair.after.default_failure}"
    if ratio.ratio > 1.0 + threshold and ratio.low > 1.0:
        if pair.same:
            return RowVerdict.UNCLEAR, f"{change}, but {_why_same(gap)}{how}"
        return RowVerdict.SLOWER, f"{change}, threshold {threshold:.1%}{how}"
    if ratio.ratio < 1.0 / (1.0 + threshold) and ratio.high < 1.0:
        same = f", though {_why_same(gap)}" if pair.same else ""
        return RowVerdict.FASTER, f"{change}, threshold {threshold:.1%}{same}{how}"
    if noise > MOST_NOISE:
        return RowVerdict.UNCLEAR, f"{change}, and a noise of {noise:.0%} hides what may be there{how}"
    if ratio.ratio > 1.0 + min_effect:
        return RowVerdict.UNCLEAR, f"{change}, within its noise of {noise:.1%} or its interval{how}"
    if any(found.default_failure for found in pair.before) and not pair.after.default_failure:
        return RowVerdict.MENDED, f"its default config failed: {pair.before[-1].default_failure}{how}"
    return RowVerdict.SAME, f"{change}, threshold {threshold:.1%}{how}"


def _why_same(gap: Gap) -> str:
    if gap.baseline.config == gap.candidate.config:
        return "of the same source and versions: the machine, not the code"
    return "of the same source and versions: the search came to another config, the code is the same"


def _broken(status: Status | None) -> RowVerdict:
    """IMPOSSIBLE is a measuring error until shown otherwise; without a status nothing failed, something was left out."""
    if status is Status.IMPOSSIBLE:
        return RowVerdict.INVALID
    return RowVerdict.MISSING if status is None else RowVerdict.BROKEN


def unmeasured_verdict(pair: Pair, before: Sequence[JournalSide], after: JournalSide) -> tuple[RowVerdict, str]:
    new = pair.after
    was_timed = any(found.timed for found in pair.before)
    if new is None:
        latest = pair.before[-1]
        why = after.why_missing(latest.workload, pair.place[1])
        return RowVerdict.MISSING, why if was_timed else f"{why}; in the baseline it failed: {latest.failure}"
    if not pair.before:
        why = before[-1].why_missing(new.workload, pair.place[1])
        return RowVerdict.NEW, f"in the baseline: {why}" + (f"; it fails: {new.failure}" if new.failure else "")
    if was_timed:
        return _broken(new.status), new.failure
    if new.timed:
        return RowVerdict.MENDED, f"in the baseline: {pair.before[-1].failure}"
    return RowVerdict.SAME, f"fails on both sides: {new.failure}"
