"""What both the PNGs and the page show of a section, worked out once."""

from __future__ import annotations

from dataclasses import dataclass

from dsabench.reports.figures.latency import LatencyPanel, latency_panels
from dsabench.reports.figures.roofline import Dot, dots_of
from dsabench.reports.figures.search import SearchPanel, search_panels
from dsabench.reports.gpu.predictions import PredictedOp, predicted_ops
from dsabench.reports.sections import Section
from dsabench.reports.winners import WinnerRow, fastest_rows, winner_rows


@dataclass(frozen=True)
class Known:
    """rows: by op; fastest: of each workload; rated: those of the fastest that have a ratio to show; impls: of all ops, `torch` last;
    the others: what their figures are drawn from."""

    section: Section
    rows: dict[str, list[WinnerRow]]
    fastest: list[WinnerRow]
    rated: list[WinnerRow]
    impls: list[str]
    dots: list[Dot]
    latency: list[LatencyPanel]
    searches: list[SearchPanel]
    predictions: list[PredictedOp]


def know(section: Section) -> Known:
    rows = winner_rows(section)
    fastest = fastest_rows(rows)
    impls = {impl for op in section.ops for impl in section.implementations(op)}
    return Known(
        section=section,
        rows=rows,
        fastest=fastest,
        rated=[row for row in fastest if row.over_default or row.over_torch],
        impls=sorted(impls, key=lambda name: (name == "torch", name)),
        dots=dots_of(section, fastest),
        latency=latency_panels(section, rows),
        searches=search_panels(section),
        predictions=predicted_ops(section),
    )
