"""Where the sparse pipeline's time goes at each context, beside dense, with the length from which sparse wins."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dsabench.bench.scaling.crossover import Crossing, Crossover
from dsabench.bench.scaling.points import crossover_of
from dsabench.reports.dense.rows import Row
from dsabench.reports.dense.study import Study
from dsabench.reports.figures.labels import Key, extent, legend, set_ticks, spaced, unit_above
from dsabench.reports.figures.panel_row import panel_row
from dsabench.reports.figures.svg import TITLED
from dsabench.reports.figures.theme import Theme, add_axes, canvas, plain
from dsabench.reports.quantities import Span, format_time, format_time_interval, significant, time_unit

_ORDER = ("attention", "indexer", "topk", "slots")
"""Of the colours: the stages that take longest get those that differ most."""
_HIGHEST = 1.7
"""Of the axis, over the slowest sparse: what of dense is longer is cut, and its number stands above."""


@dataclass(frozen=True)
class StagePanel:
    """rows: those with a time. stages: names in the order they run."""

    phase: str
    name: str
    rows: list[Row]
    stages: list[str]
    crossover: Crossover | None

    @property
    def cut(self) -> bool:
        """Whether some dense bar does not fit."""
        return any(row.dense and row.dense.value > _ceiling(self) for row in self.rows)


def stage_panel(study: Study, rows: list[Row]) -> StagePanel | None:
    """None where nothing has a time."""
    timed = [row for row in rows if row.sparse or row.dense]
    names = list(dict.fromkeys(name for row in timed for name in row.stages))
    crossing = crossover_of(study.points, study.seed)
    return StagePanel(study.phase, study.name, timed, names, crossing) if timed else None


def stage_colour(theme: Theme, panel: StagePanel, name: str) -> str:
    order = [*_ORDER, *(other for other in panel.stages if other not in _ORDER)]
    return theme.series[order.index(name) % len(theme.series)]


def _ceiling(panel: StagePanel) -> float:
    dense = max((row.dense.value for row in panel.rows if row.dense), default=0.0)
    sparse = max((max(row.sparse.value, _stacked(row)) for row in panel.rows if row.sparse), default=0.0)
    return max(sparse, min(dense, _HIGHEST * sparse)) if sparse else dense


def _stacked(row: Row) -> float:
    return sum(stage.time.value for stage in row.stages.values())


def draw_panel(axes: Axes, panel: StagePanel, theme: Theme, titles: list[str]) -> None:
    """`axes` needs 40 pixels of room above: for the crossover's name and the numbers of bars that are cut."""
    top = _ceiling(panel)
    size, unit = time_unit(top)
    xs = [math.log2(row.context) for row in panel.rows]
    gap = min((b - a for a, b in itertools.pairwise(xs)), default=1.0)
    margin = 0.62 * gap if len(xs) > 1 else 1.6
    axes.set_xlim(xs[0] - margin, xs[-1] + margin)
    axes.set_ylim(0, top * 1.06)
    plain(axes, theme)
    axes.grid(False, axis="x")
    pixels = [float(axes.transData.transform((x, 0.0))[0]) for x in xs]
    shown = {xs[i]: panel.rows[i].label for i in spaced(pixels, 34)}
    set_ticks(axes.xaxis, list(shown), lambda x: shown[x])
    step = next(s * 10.0**e for e in range(-12, 12) for s in (1, 2, 5) if top / size / (s * 10.0**e) <= 6)
    ticks = [i * step for i in range(int(top * 1.06 / size / step) + 1)]
    axes.set_yticks([tick * size for tick in ticks], [f"{tick:g}" for tick in ticks])
    axes.set_xlabel("context", color=theme.muted, fontsize=10.5)
    unit_above(axes, unit, theme, 11)
    for crossing in panel.crossover.crossings if panel.crossover else ():
        _mark(axes, crossing, theme, titles)
    for row, x in zip(panel.rows, xs, strict=True):
        _sparse_bar(axes, panel, row, x - 0.2 * gap, 0.36 * gap, theme, titles)
        if row.dense is None:
            _nothing(axes, x + 0.2 * gap, "no dense", theme)
            continue
        height = min(row.dense.value, top * 1.06)
        _bar(axes, x + 0.2 * gap, 0.36 * gap, 0, height, theme.base, f"dense at {row.label}", row.dense, titles)
        if row.dense.value > top:
            axes.annotate(
                significant(row.dense.value / size, 2),
                (x + 0.2 * gap, height),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=9.5,
                color=theme.muted,
                annotation_clip=False,
            )
        else:
            _interval(axes, x + 0.2 * gap, row.dense, theme)


def _sparse_bar(
    axes: Axes, panel: StagePanel, row: Row, x: float, width: float, theme: Theme, titles: list[str]
) -> None:
    if row.sparse is None:
        _nothing(axes, x, "no sparse", theme)
        return
    bottom = 0.0
    # The longest of short contexts at the bottom, so that what grows stands on what does not.
    for name in sorted(row.stages, key=lambda name: (name not in _ORDER, _ORDER.index(name) if name in _ORDER else 0)):
        stage = row.stages[name]
        what = f"{name} at {row.label}, {stage.impl}"
        _bar(axes, x, width, bottom, stage.time.value, stage_colour(theme, panel, name), what, stage.time, titles)
        bottom += stage.time.value
    _interval(axes, x, row.sparse, theme)
    half = width / 2
    axes.plot(
        [x - half, x + half], [row.sparse.value] * 2, color=theme.fg, lw=1.6, zorder=5, gid=f"{TITLED}{len(titles)}"
    )
    titles.append(
        f"the whole of sparse at {row.label}: {format_time(row.sparse.value)} ({format_time_interval(row.sparse)})"
    )


def _bar(
    axes: Axes,
    x: float,
    width: float,
    bottom: float,
    height: float,
    colour: str,
    what: str,
    span: Span,
    titles: list[str],
) -> None:
    bar = Rectangle((x - width / 2, bottom), width, height, facecolor=colour, edgecolor="none", zorder=3)
    bar.set_gid(f"{TITLED}{len(titles)}")
    axes.add_patch(bar)
    titles.append(f"{what}: {format_time(span.value)} ({format_time_interval(span)})")


def _interval(axes: Axes, x: float, span: Span, theme: Theme) -> None:
    if span.low is not None and span.high is not None:
        axes.plot([x, x], [span.low, span.high], color=theme.fg, lw=1.6, zorder=5, solid_capstyle="butt")


def _nothing(axes: Axes, x: float, words: str, theme: Theme) -> None:
    axes.annotate(
        words,
        (x, 0),
        xytext=(0, 6),
        textcoords="offset points",
        rotation=90,
        ha="center",
        va="bottom",
        fontsize=9.5,
        color=theme.warn,
    )


def _mark(axes: Axes, crossing: Crossing, theme: Theme, titles: list[str]) -> None:
    """A line where the winner changes, its interval as a band, its name above."""
    low, middle, high = (math.log2(length) for length in (crossing.low, crossing.length, crossing.high))
    band = axes.axvspan(low, high, color=theme.series[3], alpha=0.16, lw=0, zorder=1)
    band.set_gid(f"{TITLED}{len(titles)}")
    words = f"{crossing.to} wins from {crossing.words()}"
    titles.append(words)
    # Drawn on past the axes, up to the name: between them stand the numbers of bars that are cut.
    pixels = axes.get_window_extent().height
    reach = axes.get_ylim()[1] * (1 + 22 / pixels)
    axes.plot([middle, middle], [0, reach], color=theme.series[3], lw=1.4, ls=(0, (4, 2)), zorder=6, clip_on=False)
    text = axes.annotate(
        words,
        (middle, reach),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        fontsize=10,
        fontweight="bold",
        color=theme.series[3],
        annotation_clip=False,
    )
    box, window = extent(axes, text), axes.get_window_extent()
    shift = max(0.0, window.x0 - box.x0) - max(0.0, box.x1 - window.x1)
    text.set_position((shift, 2))


def _keys(panel: StagePanel, theme: Theme) -> list[Key]:
    stages = [Key(name[:24], stage_colour(theme, panel, name)) for name in panel.stages]
    return [*stages, Key("the whole, as timed", theme.fg, "solid"), Key("dense", theme.base)]


def draw_stages(panel: StagePanel, theme: Theme, *, narrow: bool) -> tuple[Figure, list[str]]:
    width, height = (366.0, 340.0) if narrow else (540.0, 360.0)
    figure = canvas(width, height, theme)
    titles: list[str] = []
    head = legend(figure, _keys(panel, theme), 8, 0, width - 16, theme) + 44
    draw_panel(add_axes(figure, 44, head, width - 44 - 12, height - head - 44), panel, theme, titles)
    return figure, titles


def draw_stages_grid(panels: list[StagePanel], theme: Theme, title: str, subtitle: str) -> Figure:
    """All panels beside each other, for PNG."""
    width, height = 560.0, 420.0

    def draw(figure: Figure, panel: StagePanel, left: float) -> None:
        head = 104 + legend(figure, _keys(panel, theme), left + 20, 104, width - 40, theme) + 44
        draw_panel(add_axes(figure, left + 56, head, width - 56 - 30, height + 78 - head - 48), panel, theme, [])

    return panel_row(panels, width, height, theme, title, subtitle, draw)
