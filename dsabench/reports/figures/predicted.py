"""Predicted against measured time, both axes logarithmic, with the line on which they are equal."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsabench.reports.figures.labels import Key, legend, log_ticks, set_ticks, tick_time, unit_above
from dsabench.reports.figures.roofline import heading
from dsabench.reports.figures.svg import TITLED
from dsabench.reports.figures.theme import Theme, add_axes, canvas, plain
from dsabench.reports.gpu.predictions import PredictedOp

MOST_DOTS = 1500
"""of all ops together: more would not show more, and a page of 20,000 trials must stay light"""


def shown(op: PredictedOp, ops: list[PredictedOp]) -> list[tuple[float, float]]:
    """Its points, evenly thinned to its share of MOST_DOTS."""
    total = sum(len(other.points) for other in ops)
    step = -(-total // MOST_DOTS)
    return op.points[:: max(1, step)]


def _colour(ops: list[PredictedOp], op: PredictedOp, theme: Theme) -> str:
    return theme.series[ops.index(op) % len(theme.series)]


def _draw(axes: Axes, ops: list[PredictedOp], theme: Theme, titles: list[str]) -> None:
    """One scale for both axes, so that the line of equality is the diagonal."""
    values = [value for op in ops for point in op.points for value in point]
    low, high = min(values) / 1.6, max(values) * 1.6
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    plain(axes, theme)
    most = max(3, int(axes.get_window_extent().width / 70))
    set_ticks(axes.xaxis, log_ticks(low, high, most), tick_time)
    set_ticks(axes.yaxis, log_ticks(low, high), tick_time)
    axes.set_xlabel("predicted", color=theme.muted, fontsize=10.5)
    unit_above(axes, "measured", theme, 11, centred=True)
    axes.plot([low, high], [low, high], color=theme.fg, lw=1.2, ls=(0, (4, 2)), zorder=2)
    for op in ops:
        gid = f"{TITLED}{len(titles)}"
        colour = _colour(ops, op, theme)
        axes.plot(*zip(*shown(op, ops), strict=True), "o", ms=4.5, color=colour, alpha=0.6, mew=0, zorder=3, gid=gid)
        titles.append(f"{op.name}: {_said(op)}, {len(op.points)} trials")


def _said(op: PredictedOp) -> str:
    return "no rank correlation" if op.correlation is None else f"rank correlation {op.correlation:.2f}"


def draw_predicted(ops: list[PredictedOp], theme: Theme, *, narrow: bool, title: str = "") -> tuple[Figure, list[str]]:
    """The figure and its tooltips. With `title`, a heading is drawn (PNG)."""
    keys = [Key(f"{op.name[:48]}: {_said(op)}", _colour(ops, op, theme)) for op in ops]
    keys.append(Key("predicted = measured", theme.fg, "dashed"))
    top = 64.0 if title else 0.0
    side = 284.0 if narrow else 400.0
    width = 366.0 if narrow else 1080.0
    # On a phone the legend stands above, else beside the plot, a key a row.
    beside = 0.0 if narrow else 620.0
    tall = legend(canvas(width, 100, theme), keys, 8, 0, width - beside - 16, theme)
    below = top + (tall if narrow else 0.0) + 28
    figure = canvas(width, max(below + side + 46, top + tall + 20), theme)
    titles: list[str] = []
    legend(figure, keys, beside or 8, top + (0.0 if narrow else 24.0), width - beside - 16, theme)
    _draw(add_axes(figure, 62, below, side if narrow else 510.0, side), ops, theme, titles)
    if title:
        heading(
            figure,
            theme,
            title,
            "Predictions were made before the trials, from machine code and ceilings. Both axes log.",
        )
    return figure, titles
