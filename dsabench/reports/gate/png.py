"""A gate as one picture for a pull request: movers by absolute time; where nothing was timed, the worst rows as a table."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from dsabench.bench.gate.records import GateResult, GateRow, RowVerdict
from dsabench.bench.gate.verdict import sorted_rows
from dsabench.reports.figures.findings import Finding, draw_findings
from dsabench.reports.figures.movers import draw_movers
from dsabench.reports.figures.theme import LIGHT, RC, save_png
from dsabench.reports.gate.movers import movers_of
from dsabench.reports.gate.words import (
    change_words,
    config_words,
    place_words,
    side_words,
    workload_words,
    worst_changes,
)
from dsabench.reports.quantities import format_percent

_BAD = (RowVerdict.SLOWER, RowVerdict.BROKEN, RowVerdict.INVALID, RowVerdict.MISSING)


def write_png(result: GateResult, path: Path) -> None:
    """Writes over `path`. Raises OSError."""
    with matplotlib.rc_context(RC), warnings.catch_warnings():
        # A device may be named in a script that the font lacks: boxes in the picture, and no reason to speak.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        save_png(_figure(result), str(path))


def _figure(result: GateResult) -> Figure:
    title = f"{result.verdict}: {result.reason}"
    sides = f"{side_words(result.baseline)} → {side_words(result.candidate)}"
    facts = [place_words(result), sides]
    movers = movers_of(result)
    if movers:
        facts.append(f"slow-downs up to {format_percent(result.min_effect)} are no concern")
        return draw_movers(movers, LIGHT, narrow=False, title=title, subtitle=", ".join(f for f in facts if f))[0]
    static = result.mode == "static"
    findings = [_finding(row, static) for row in sorted_rows(result.rows) if row.verdict is not RowVerdict.SAME]
    return draw_findings(findings, LIGHT, title=title, subtitle=", ".join(fact for fact in facts if fact))


def _finding(row: GateRow, static: bool) -> Finding:
    changes = "; ".join(change_words(change) for change in worst_changes(row))
    detail = workload_words(row)
    return Finding(
        verdict=row.verdict,
        label=row.name,
        detail=f"{detail}, {config_words(row)}" if static else detail,
        text=changes or row.reason,
        bad=row.verdict in _BAD,
    )
