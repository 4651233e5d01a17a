"""The table of `compare --dense`: a line a context."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from dsabench.bench.records import PipelinePoint, SideRecord
from dsabench.bench.scaling.bill import Price, bills
from dsabench.bench.scaling.lengths import format_length
from dsabench.bench.scaling.points import by_context, curves_of
from dsabench.bench.scaling.words import dollars, times

LEGEND = (
    "times in ms of one call in one layer, [95 % interval] of medians in interleaved rounds; a stage's time is taken inside the "
    "whole; checked: rows held against the reference"
)


def comparison_table(points: Sequence[PipelinePoint], price: Price, seed: int) -> Table:
    found = by_context(points)
    stages = [name for name in curves_of(found) if name not in ("dense", "sparse")]
    billed = bills(found, price)
    table = Table("context")
    headings = ["eager", "dense", "sparse", *stages, "speed-up", "$/M dense", "$/M sparse", "checked"]
    for heading in headings:
        table.add_column(heading, justify="right")
    for point in found:
        by_stage = {s.name: _ms(s.time.median_s) for s in point.sparse.stages} if point.sparse else {}
        ratio = point.speedup
        bill = {side: billed.get(side, {}).get(point.context) for side in ("dense", "sparse")}
        table.add_row(
            format_length(point.context),
            _time(point.eager),
            _time(point.dense, interval=True),
            _time(point.sparse, interval=True),
            *(by_stage.get(name, "–") for name in stages),
            f"{times(ratio.ratio)} \\[{ratio.low:.3g}, {ratio.high:.3g}]" if ratio else "–",
            *(dollars(each.usd) if each else "–" for each in bill.values()),
            _checked(point),
        )
    return table


def _time(side: SideRecord | None, interval: bool = False) -> str:
    if side is None:
        return "–"
    time = side.time
    text = _ms(time.median_s)
    return f"{text} \\[{_ms(time.low_s)}, {_ms(time.high_s)}]" if interval else text


def _ms(seconds: float) -> str:
    """Three digits, and never an exponent."""
    value = seconds * 1e3
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _checked(point: PipelinePoint) -> str:
    sides = [side for side in (point.sparse, point.dense) if side is not None]
    return ", ".join(f"{side.check.rows_checked} of {side.check.rows_total}" for side in sides) or "–"
