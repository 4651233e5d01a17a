"""Cost per million tokens against token position, dense and sparse: the picture of DeepSeek's report, from measured kernels."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from dsabench.bench.scaling.cost import PUBLISHED, PUBLISHED_CONTEXT
from dsabench.bench.scaling.lengths import format_length
from dsabench.bench.scaling.words import dollars
from dsabench.reports.dense.rows import Row
from dsabench.reports.dense.study import Study
from dsabench.reports.figures.labels import (
    End,
    Label,
    boxes_along,
    label_ends,
    log_ticks,
    place_labels,
    set_ticks,
    spaced,
    unit_above,
)
from dsabench.reports.figures.panel_row import panel_row
from dsabench.reports.figures.svg import TITLED
from dsabench.reports.figures.theme import Theme, add_axes, canvas, plain
from dsabench.reports.quantities import Span


@dataclass(frozen=True)
class CostPanel:
    """lines: `dense` and `sparse`, those that were measured: dollars per million tokens at each position, ascending."""

    phase: str
    name: str
    lines: dict[str, list[tuple[int, Span]]]


def cost_panel(study: Study, rows: list[Row]) -> CostPanel | None:
    """None where nothing has a time."""
    lines = {side: [(row.context, row.usd[side]) for row in rows if side in row.usd] for side in ("dense", "sparse")}
    lines = {side: line for side, line in lines.items() if line}
    return CostPanel(study.phase, study.name, lines) if lines else None


def side_colour(theme: Theme, side: str) -> str:
    """Dense, the baseline, is neutral."""
    return theme.series[0] if side == "sparse" else theme.base


def draw_panel(axes: Axes, panel: CostPanel, theme: Theme, titles: list[str]) -> None:
    published = PUBLISHED[panel.phase]
    marks = {"dense": published.dense, "sparse": published.sparse}
    contexts = sorted({context for line in panel.lines.values() for context, _ in line})
    costs = [
        cost
        for line in panel.lines.values()
        for _, s in line
        for cost in (s.value, s.low or s.value, s.high or s.value)
    ]
    low, high = min(*costs, *marks.values()), max(*costs, *marks.values())
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(min(contexts[0], PUBLISHED_CONTEXT) / 1.25, max(contexts[-1], PUBLISHED_CONTEXT) * 1.25)
    axes.set_ylim(low / 1.7, high * 1.7)
    plain(axes, theme)
    ticks = [float(context) for context in sorted({*contexts, PUBLISHED_CONTEXT})]
    pixels = [float(axes.transData.transform((tick, 1.0))[0]) for tick in ticks]
    set_ticks(axes.xaxis, [ticks[i] for i in spaced(pixels, 34)], format_length)
    set_ticks(axes.yaxis, log_ticks(*axes.get_ylim(), most=6), lambda v: f"${v:,g}")
    axes.set_xlabel("token position", color=theme.muted, fontsize=10.5)
    unit_above(axes, "per million tokens", theme, 11, centred=True)
    ends = []
    obstacles: list[Bbox] = []
    for side, line in panel.lines.items():
        colour = side_colour(theme, side)
        xs, ys = [float(context) for context, _ in line], [span.value for _, span in line]
        axes.plot(xs, ys, color=colour, lw=2, zorder=3)
        obstacles += boxes_along(axes, xs, ys) if len(xs) > 1 else []
        for context, span in line:
            if span.low is not None and span.high is not None:
                axes.plot(
                    [context] * 2, [span.low, span.high], color=colour, lw=6, alpha=0.4, solid_capstyle="butt", zorder=3
                )
            gid = f"{TITLED}{len(titles)}"
            axes.plot([context], [span.value], "o", ms=6, color=colour, mec=theme.card, mew=1, zorder=4, gid=gid)
            titles.append(
                f"{side} {panel.phase} at {format_length(context)}: {dollars(span.value)} per million tokens "
                f"({dollars(span.low or span.value)}–{dollars(span.high or span.value)})"
            )
            x, y = axes.transData.transform((context, span.value))
            obstacles.append(Bbox.from_extents(x - 5, y - 5, x + 5, y + 5))
        ends.append(End(ys[-1], side, colour))
    labels = []
    for side, usd in marks.items():
        colour = side_colour(theme, side)
        gid = f"{TITLED}{len(titles)}"
        axes.plot([PUBLISHED_CONTEXT], [usd], "D", ms=7, mfc="none", mec=colour, mew=1.4, zorder=5, gid=gid)
        titles.append(f"published, {side} {panel.phase} at 128K: ${usd:.2f}; another machine, a whole model")
        x, y = axes.transData.transform((PUBLISHED_CONTEXT, usd))
        obstacles.append(Bbox.from_extents(x - 6, y - 6, x + 6, y + 6))
        labels.append(Label(((PUBLISHED_CONTEXT, usd),), f"published, {side} ${usd:.2f}", colour))
    place_labels(axes, labels, obstacles, 9.5, theme, bold=False)
    label_ends(axes, ends, 6)


def draw_cost(panel: CostPanel, theme: Theme, *, narrow: bool) -> tuple[Figure, list[str]]:
    width, height = (366.0, 320.0) if narrow else (540.0, 360.0)
    figure = canvas(width, height, theme)
    titles: list[str] = []
    draw_panel(add_axes(figure, 62, 24, width - 62 - 58, height - 24 - 44), panel, theme, titles)
    return figure, titles


def draw_cost_grid(panels: list[CostPanel], theme: Theme, title: str, subtitle: str) -> Figure:
    """All panels beside each other, for PNG."""
    width, height = 520.0, 400.0

    def draw(figure: Figure, panel: CostPanel, left: float) -> None:
        draw_panel(add_axes(figure, left + 66, 126, width - 66 - 66, height - 126 + 30), panel, theme, [])

    return panel_row(panels, width, height, theme, title, subtitle, draw)
