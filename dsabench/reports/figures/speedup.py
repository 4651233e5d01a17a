"""What tuning gave, and how the result stands against eager torch: a row a workload, log x, with intervals."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsabench.reports.figures.labels import log_ticks, set_ticks
from dsabench.reports.figures.roofline import heading
from dsabench.reports.figures.svg import TITLED
from dsabench.reports.figures.theme import Theme, add_axes, canvas, plain
from dsabench.reports.quantities import Span, format_ratio, format_ratio_interval
from dsabench.reports.sections import context_label, other_axes
from dsabench.reports.winners import WinnerRow

MOST_ROWS = 60
_ROW, _GAP = 17.0, 12.0
# Beside a wide plot the op's name has its own column; on a phone it stands above its rows.
_NARROW_HEAD = 18.0


def _layout(rows: list[WinnerRow], narrow: bool) -> tuple[list[float], list[tuple[str, float]], float]:
    """Pixel position of each row from the top, (op, position) of each group's name, and the height of it all."""
    positions: list[float] = []
    groups: list[tuple[str, float]] = []
    y, op = 0.0, ""
    for row in rows:
        if row.op != op:
            y += _GAP if op else 4
            op = row.op
            groups.append((op, y + _ROW / 2))
            y += _NARROW_HEAD if narrow else 0
        positions.append(y + _ROW / 2)
        y += _ROW
    return positions, groups, y + 6


def _draw(
    axes: Axes,
    rows: list[WinnerRow],
    spans: list[Span | None],
    ys: list[float],
    height: float,
    theme: Theme,
    what: str,
    titles: list[str],
) -> None:
    values = [v for s in spans if s is not None for v in (s.value, s.low or s.value, s.high or s.value)] + [1.0]
    axes.set_xscale("log")
    axes.set_xlim(min(values) / 1.12, max(max(values) * 1.22, 2.0))
    axes.set_ylim(height, 0)
    plain(axes, theme)
    axes.grid(False, axis="y")
    axes.set_yticks([])
    set_ticks(axes.xaxis, log_ticks(*axes.get_xlim(), most=7), lambda v: f"{v:g}×")
    axes.axvline(1, color=theme.fg, lw=1.2, zorder=2)
    for row, span, y in zip(rows, spans, ys, strict=True):
        if span is None:
            axes.annotate(
                "not measured",
                (1, y),
                xytext=(8, 0),
                textcoords="offset points",
                fontsize=9.5,
                color=theme.muted,
                va="center_baseline",
            )
            continue
        # Grey where the measurement cannot tell the two apart.
        flat = span.contains_one or span.low is None or (what == "its default config" and row.default_ties)
        colour = theme.muted if flat else (theme.series[0] if span.value > 1 else theme.warn)
        axes.plot([1, span.value], [y, y], color=colour, lw=1.2, alpha=0.4, zorder=2)
        if span.low is not None and span.high is not None:
            axes.plot([span.low, span.high], [y, y], color=colour, lw=4.5, alpha=0.4, solid_capstyle="butt", zorder=3)
        axes.plot(
            [span.value],
            [y],
            "o",
            ms=6.5,
            mfc=theme.card if span.low is None else colour,
            mec=colour,
            mew=1.2,
            zorder=4,
            gid=f"{TITLED}{len(titles)}",
        )
        context = context_label(row.workload) if row.workload else ""
        interval = format_ratio_interval(span) or "no interval"
        titles.append(f"{row.op} {context}, {row.impl}: {format_ratio(span.value)} ({interval}) against {what}")
        axes.annotate(
            format_ratio(span.value),
            (max(span.value, span.high or 0.0, 1.0), y),
            xytext=(8, 0),
            textcoords="offset points",
            fontsize=10,
            color=colour,
            va="center_baseline",
            annotation_clip=False,
        )


def draw_speedup(rows: list[WinnerRow], theme: Theme, *, narrow: bool, title: str = "") -> tuple[Figure, list[str]]:
    rows = rows[:MOST_ROWS]
    ys, groups, height = _layout(rows, narrow)
    head = 62.0 if title else 0.0
    labels = 22.0
    titles: list[str] = []
    several = len({row.impl for row in rows}) > 1
    shapes = len({other_axes(row.workload) for row in rows if row.workload}) > len({row.op for row in rows})
    blocks = [("its default config", [row.over_default for row in rows]), ("torch", [row.over_torch for row in rows])]
    if narrow:
        figure = canvas(366, head + 2 * (height + labels + 40), theme)
        boxes = [(64.0, head + labels + i * (height + labels + 40), 366.0 - 64 - 46) for i in range(2)]
    else:
        figure = canvas(1080, head + height + labels + 34, theme)
        boxes = [(266.0, head + labels, 340.0), (680.0, head + labels, 340.0)]
    width, total = figure.get_size_inches() * 72
    for index, ((what, spans), (left, top, span_width)) in enumerate(zip(blocks, boxes, strict=True)):
        axes = add_axes(figure, left, top, span_width, height)
        _draw(axes, rows, spans, ys, height, theme, what, titles)
        heading_text = "tuned against its default config" if index == 0 else "tuned against torch (its default config)"
        figure.text(
            left / width,
            1 - (top - 10) / total,
            heading_text,
            fontsize=11,
            fontweight="bold",
            color=theme.fg,
            va="center",
        )
        if narrow or index == 0:
            behind = {"facecolor": theme.card, "edgecolor": "none", "pad": 2} if narrow else None
            for op, y in groups:
                x = 8 if narrow else 12
                figure.text(
                    x / width,
                    1 - (top + y) / total,
                    op,
                    fontsize=11,
                    fontweight="bold",
                    color=theme.fg,
                    va="center_baseline",
                    bbox=behind,
                )
            for row, y in zip(rows, ys, strict=True):
                assert row.workload is not None
                text = context_label(row.workload)
                if several and not narrow:
                    text = f"{row.impl} {text}"
                if shapes and not narrow:
                    text = f"{_distinct(row, rows)} {text}".strip()
                figure.text(
                    (left - 10) / width,
                    1 - (top + y) / total,
                    text,
                    fontsize=10.5,
                    color=theme.muted,
                    ha="right",
                    va="center_baseline",
                )
    if title:
        heading(
            figure,
            theme,
            title,
            "Fastest implementation of each workload. Bars: interval of the ratio. Grey: within the noise, or no interval yet.",
        )
    return figure, titles


def _distinct(row: WinnerRow, rows: list[WinnerRow]) -> str:
    """The axes besides the context in which this op's rows differ."""
    assert row.workload is not None
    mine = [other.workload for other in rows if other.op == row.op and other.workload is not None]
    names = [n for n in row.workload.axes if n != "s_kv" and len({w.axes.get(n) for w in mine}) > 1]
    return " ".join(f"{name}={row.workload.axes[name]}" for name in names[:2])
