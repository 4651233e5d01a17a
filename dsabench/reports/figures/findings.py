"""Findings as a table drawn: verdict, what, where, and what is said of it. For a PNG, where no table can stand."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from dsabench.reports.figures.fitted import fitted
from dsabench.reports.figures.roofline import heading
from dsabench.reports.figures.theme import Theme, canvas

MOST_FINDINGS = 30
_WIDTH, _ROW = 1080.0, 22.0
_COLUMNS = (12.0, 90.0, 290.0, 660.0)


@dataclass(frozen=True)
class Finding:
    """One line. bad: its verdict stands in the colour of warnings."""

    verdict: str
    label: str
    detail: str
    text: str
    bad: bool


def draw_findings(findings: list[Finding], theme: Theme, *, title: str, subtitle: str = "") -> Figure:
    """In the order given, the first MOST_FINDINGS of them, and how many are not shown. Without one: the heading alone."""
    shown = findings[:MOST_FINDINGS]
    left_out = len(findings) - len(shown)
    height = 66.0 + _ROW * (len(shown) + (left_out > 0)) + (10 if shown else 0)
    figure = canvas(_WIDTH, height, theme)
    ends = (*(column - 12 for column in _COLUMNS[1:]), _WIDTH - 10)
    for index, finding in enumerate(shown):
        y = 1 - (66 + _ROW * (index + 0.5)) / height
        colours = (theme.warn if finding.bad else theme.muted, theme.fg, theme.muted, theme.fg)
        texts = (finding.verdict, finding.label, finding.detail, finding.text)
        for text, left, end, colour, bold in zip(
            texts, _COLUMNS, ends, colours, (True, True, False, False), strict=True
        ):
            figure.text(
                left / _WIDTH,
                y,
                fitted(text, end - left, 10, bold=bold),
                fontsize=10,
                fontweight="bold" if bold else "normal",
                color=colour,
                va="center_baseline",
            )
    if left_out:
        figure.text(_COLUMNS[0] / _WIDTH, 14 / height, f"{left_out} more", fontsize=10, color=theme.muted, va="center")
    room = _WIDTH - 36
    heading(figure, theme, fitted(title, room, 16, bold=True), fitted(subtitle, room, 11))
    return figure
