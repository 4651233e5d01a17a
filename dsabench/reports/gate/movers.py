"""A gate's measured rows as movers, for the figure by absolute time."""

from __future__ import annotations

from dsabench.bench.gate.records import GateResult, GateRow, RowVerdict
from dsabench.reports.figures.movers import Mover, Tone
from dsabench.reports.gate.words import workload_words

_TONES: dict[RowVerdict, Tone] = {
    RowVerdict.SLOWER: "slower",
    RowVerdict.BROKEN: "slower",
    RowVerdict.UNCLEAR: "unclear",
    RowVerdict.FASTER: "faster",
    RowVerdict.SAME: "flat",
}


def movers_of(result: GateResult) -> list[Mover]:
    """Rows with a verdict on two times, in their order. The change is the ratio's where there is one, so that it lies in its interval:
    medians of each side's own samples may differ by less or more than the paired ratio says."""
    return [mover for row in result.rows if (mover := _mover(row)) is not None]


def _mover(row: GateRow) -> Mover | None:
    tone = _TONES.get(row.verdict)
    if tone is None or row.baseline_s is None or row.lost_s is None:
        return None
    ratio, base = row.ratio, row.baseline_s
    return Mover(
        label=row.name,
        detail=workload_words(row),
        change_s=base * (ratio.ratio - 1.0) if ratio else row.lost_s,
        low_s=base * (ratio.low - 1.0) if ratio else None,
        high_s=base * (ratio.high - 1.0) if ratio else None,
        noise_s=None if row.noise is None else base * row.noise,
        tone=tone,
    )
