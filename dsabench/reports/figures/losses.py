"""What selecting k keys loses: weight kept, recall and output error against k, a row of plots for each kind of input."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsabench.bench.records import LossPoint, Spread
from dsabench.reports.dense.losses import LossGroup
from dsabench.reports.figures.labels import DASHES, Key, legend, log_ticks, set_ticks, spaced, tick_count
from dsabench.reports.figures.roofline import heading
from dsabench.reports.figures.svg import TITLED
from dsabench.reports.figures.theme import Theme, add_axes, canvas, plain
from dsabench.reports.quantities import format_percent

MOST_GROUPS = 12
_LEAST_ERROR = 1e-4
"""Where the axis of errors ends: an error of exactly 0 has no place on a logarithmic one."""
SELECTIONS = ("FP8 indexer", "exact indexer", "best possible")


@dataclass(frozen=True)
class _Line:
    name: str
    spreads: list[Spread]
    colour: str
    dash: str
    band: bool


def _lines(points: tuple[LossPoint, ...], quantity: str, theme: Theme) -> list[_Line]:
    fp8, exact, best = SELECTIONS
    if quantity == "mass":
        return [
            _Line(best, [p.mass_best for p in points], theme.muted, "dotted", False),
            _Line(fp8, [p.mass for p in points], theme.series[0], "solid", True),
            _Line(exact, [p.mass_exact for p in points], theme.series[1], "dashed", False),
        ]
    spreads = [p.recall if quantity == "recall" else p.error for p in points]
    return [_Line(fp8, spreads, theme.series[0], "solid", True)]


def _draw(
    axes: Axes, group: LossGroup, quantity: str, errors: tuple[float, float], theme: Theme, titles: list[str]
) -> None:
    ks = [float(point.k) for point in group.points]
    axes.set_xscale("log", base=2)
    axes.set_xlim(ks[0] / 1.25, ks[-1] * 1.25)
    if quantity == "error":
        axes.set_yscale("log")
        axes.set_ylim(*errors)
    else:
        axes.set_ylim(0, 1.05)
    plain(axes, theme)
    pixels = [float(axes.transData.transform((k, 0.5))[0]) for k in ks]
    set_ticks(axes.xaxis, [ks[i] for i in spaced(pixels, 34)], tick_count)
    ticks = log_ticks(*errors, most=4) if quantity == "error" else [0.0, 0.25, 0.5, 0.75, 1.0]
    set_ticks(axes.yaxis, ticks, lambda v: f"{100 * v:g} %")
    for line in _lines(group.points, quantity, theme):
        low, middle, high = (
            [max(getattr(spread, end), _LEAST_ERROR if quantity == "error" else 0.0) for spread in line.spreads]
            for end in ("low", "median", "high")
        )
        if line.band:
            axes.fill_between(ks, low, high, color=line.colour, alpha=0.18, lw=0, zorder=2)
            if len(ks) == 1:
                axes.plot(ks * 2, [low[0], high[0]], color=line.colour, lw=5, alpha=0.3, zorder=2)
        axes.plot(ks, middle, color=line.colour, lw=1.8, ls=DASHES[line.dash], zorder=3)
        for point, spread, y in zip(group.points, line.spreads, middle, strict=True):
            gid = f"{TITLED}{len(titles)}"
            axes.plot([point.k], [y], "o", ms=4.5, color=line.colour, mec=theme.card, mew=0.8, zorder=4, gid=gid)
            titles.append(
                f"{group.name}, k = {point.k}, {line.name}: {_WORDS[quantity]} {format_percent(spread.median)} "
                f"({format_percent(spread.low)} to {format_percent(spread.high)} over queries)"
            )


_WORDS = {"mass": "weight kept", "recall": "recall", "error": "output error"}
_HEADS = {
    "mass": "attention weight kept",
    "recall": "recall of the exact top-k",
    "error": "output error",
}


def _error_limits(groups: list[LossGroup]) -> tuple[float, float]:
    """One scale for all kinds of input."""
    values = [v for group in groups for p in group.points for v in (p.error.low, p.error.high) if v > _LEAST_ERROR]
    return (min(values) / 1.5, max(values) * 1.5) if values else (_LEAST_ERROR, 1.0)


def _keys(theme: Theme) -> list[Key]:
    fp8, exact, best = SELECTIONS
    return [
        Key(fp8, theme.series[0], "solid"),
        Key(exact, theme.series[1], "dashed"),
        Key(best, theme.muted, "dotted"),
    ]


def _text(figure: Figure, x: float, y: float, words: str, size: float, colour: str, bold: bool = False) -> None:
    width, height = figure.get_size_inches() * 72
    weight = "bold" if bold else "normal"
    figure.text(x / width, 1 - y / height, words, fontsize=size, fontweight=weight, color=colour, va="center")


def _wide(figure: Figure, groups: list[LossGroup], theme: Theme, titles: list[str], top: float) -> None:
    errors = _error_limits(groups)
    for row, group in enumerate(groups):
        y = top + row * _ROW
        _text(figure, 8, y + 12, group.name[:60], 12, theme.fg, bold=True)
        _text(figure, 8, y + 29, group.detail, 10, theme.muted)
        for column, quantity in enumerate(_HEADS):
            left = 48 + column * 356.0
            _text(figure, left - 6, y + 50, f"{_HEADS[quantity]}", 10.5, theme.fg)
            _draw(add_axes(figure, left, y + 62, 296, 108), group, quantity, errors, theme, titles)
            _text(figure, left + 300, y + 177, "k", 10, theme.muted)


_ROW, _NARROW_ROW = 206.0, 358.0


def _narrow(figure: Figure, groups: list[LossGroup], theme: Theme, titles: list[str], top: float) -> None:
    errors = _error_limits(groups)
    for row, group in enumerate(groups):
        y = top + row * _NARROW_ROW
        _text(figure, 8, y + 12, group.name[:40], 12, theme.fg, bold=True)
        boxes = {"mass": (46.0, y + 44, 312.0, 120.0), "recall": (46.0, y + 216, 124.0, 100.0)}
        boxes["error"] = (234.0, y + 216, 124.0, 100.0)
        for quantity, box in boxes.items():
            short = {"recall": "recall of exact top-k"}.get(quantity, _HEADS[quantity])
            _text(figure, box[0] - 38, box[1] - 12, short, 10.5, theme.fg)
            _draw(add_axes(figure, *box), group, quantity, errors, theme, titles)


def draw_losses(
    groups: list[LossGroup], theme: Theme, *, narrow: bool, title: str = "", subtitle: str = ""
) -> tuple[Figure, list[str]]:
    """The figure and its tooltips. With `title`, a heading is drawn (PNG)."""
    groups = groups[:MOST_GROUPS]
    head = 60.0 if title else 0.0
    width = 366.0 if narrow else 1080.0
    row = _NARROW_ROW if narrow else _ROW
    figure = canvas(width, head + 26 + len(groups) * row, theme)
    titles: list[str] = []
    below = head + legend(figure, _keys(theme), 8, head, width - 16, theme) + 6
    (_narrow if narrow else _wide)(figure, groups, theme, titles, below)
    if title:
        heading(figure, theme, title, subtitle)
    return figure, titles
