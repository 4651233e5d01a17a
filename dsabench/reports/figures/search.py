"""Best so far against trials: how soon the search found what it found, a panel a workload, a line an implementation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsabench.bench.records import Status, WorkloadId
from dsabench.reports.figures.labels import End, label_ends, log_ticks, set_ticks, tick_count, tick_time
from dsabench.reports.figures.latency import HEIGHT, WIDTH, panel_grid
from dsabench.reports.figures.svg import TITLED
from dsabench.reports.figures.theme import Theme, add_axes, canvas, plain
from dsabench.reports.quantities import format_time
from dsabench.reports.sections import Section, context_label, context_of, other_axes

MOST_PANELS = 42
MOST_DOTS = 120
"""of the trials that improved nothing: enough to see the spread, few enough for a page of 20,000 trials"""


@dataclass(frozen=True)
class SearchLine:
    """Trials of one implementation in the order made, numbered from 1; those pruned took no time and are not counted.
    `best`: where the best so far fell, and to what."""

    impl: str
    count: int
    failed: int
    dots: list[tuple[int, float]]
    best: list[tuple[int, float]]
    default: tuple[int, float] | None


@dataclass(frozen=True)
class SearchPanel:
    workload: WorkloadId
    lines: list[SearchLine]

    @property
    def name(self) -> str:
        return f"{self.workload.op} · {context_label(self.workload)}"


def _line(impl: str, frame: pd.DataFrame) -> SearchLine | None:
    frame = frame[frame["status"] != Status.PRUNED.value]
    numbers = np.arange(1, len(frame) + 1)
    times = frame["median_s"].to_numpy(float)
    passed = (frame["status"] == Status.PASSED.value).to_numpy() & np.isfinite(times)
    if not passed.any():
        return None
    shown = np.where(passed, times, np.inf)
    best = np.minimum.accumulate(shown)
    falls = np.flatnonzero(passed & (shown == best) & (shown < np.concatenate([[np.inf], best[:-1]])))
    others = np.setdiff1d(np.flatnonzero(passed), falls)
    if len(others) > MOST_DOTS:
        others = others[np.linspace(0, len(others) - 1, MOST_DOTS).round().astype(int)]
    kept = np.sort(np.concatenate([falls, others]))
    defaults = np.flatnonzero(passed & frame["is_default"].to_numpy(bool))
    return SearchLine(
        impl=impl,
        count=len(numbers),
        failed=int((~passed).sum()),
        dots=[(int(numbers[i]), float(times[i])) for i in kept],
        best=[(int(numbers[i]), float(best[i])) for i in falls],
        default=(int(numbers[defaults[0]]), float(times[defaults[0]])) if len(defaults) else None,
    )


def search_panels(section: Section) -> list[SearchPanel]:
    """Workloads of which some trial passed, in the report's order."""
    groups = section.groups
    panels = []
    for op in section.ops:
        for workload in section.workloads_of(op):
            lines = [
                line
                for impl in section.implementations(op)
                if (workload.key, impl) in groups and (line := _line(impl, groups[workload.key, impl])) is not None
            ]
            if lines:
                panels.append(SearchPanel(workload, lines))
    return panels


def one_an_op(panels: list[SearchPanel]) -> list[SearchPanel]:
    """The longest context of each op: what the PNG has room for."""
    best: dict[str, SearchPanel] = {}
    for panel in panels:
        held = best.get(panel.workload.op)
        if held is None or context_of(panel.workload) > context_of(held.workload):
            best[panel.workload.op] = panel
    return list(best.values())


def chosen_panels(panels: list[SearchPanel], most: int) -> list[SearchPanel]:
    """All of them, or where there are more than `most` one an op."""
    return panels if len(panels) <= most else one_an_op(panels)[:most]


def draw_panel(axes: Axes, panel: SearchPanel, theme: Theme, impls: list[str], titles: list[str]) -> None:
    most = max(line.count for line in panel.lines)
    times = [seconds for line in panel.lines for _, seconds in line.dots]
    axes.set_yscale("log")
    axes.set_xlim(1 - 0.04 * most, most + 0.02 * most + 0.5)
    axes.set_ylim(min(times) / 1.35, max(times) * 1.35)
    plain(axes, theme)
    axes.grid(False, axis="x")
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 10**9) if most / s <= 6)
    set_ticks(axes.xaxis, [1.0, *(float(t) for t in range(step, most + 1, step) if t > 1)], tick_count)
    set_ticks(axes.yaxis, log_ticks(*axes.get_ylim(), most=5), tick_time)
    ends: list[End] = []
    for line in panel.lines:
        colour = theme.impl(line.impl, impls)
        if line.dots:
            axes.plot(*zip(*line.dots, strict=True), "o", ms=3, color=colour, alpha=0.4, mew=0, zorder=2)
        steps = [*line.best, (line.count, line.best[-1][1])]
        axes.step(*zip(*steps, strict=True), where="post", color=colour, lw=1.8, zorder=3, gid=f"{TITLED}{len(titles)}")
        titles.append(
            f"{line.impl}: best {format_time(line.best[-1][1])}, found at trial {line.best[-1][0]} of {line.count} "
            f"({line.failed} did not pass)"
        )
        # The best stands until the other implementation's search is over.
        axes.plot(
            [line.count, axes.get_xlim()[1]], [line.best[-1][1]] * 2, color=colour, lw=1, ls=(0, (2, 3)), zorder=2
        )
        if line.default:
            axes.plot(*line.default, "o", ms=7, mfc="none", mec=colour, mew=1.5, zorder=4, gid=f"{TITLED}{len(titles)}")
            titles.append(f"{line.impl}: its default config, {format_time(line.default[1])}")
        ends.append(End(line.best[-1][1], line.impl, colour))
    label_ends(axes, ends, 6)


def draw_search_panel(panel: SearchPanel, theme: Theme, impls: list[str]) -> tuple[Figure, list[str]]:
    height = HEIGHT - 60
    figure = canvas(WIDTH, height, theme)
    titles: list[str] = []
    draw_panel(add_axes(figure, 56, 8, WIDTH - 56 - 62, height - 36), panel, theme, impls, titles)
    return figure, titles


def draw_search_grid(panels: list[SearchPanel], theme: Theme, impls: list[str], title: str) -> Figure:
    return panel_grid(
        [(panel.name, other_axes(panel.workload)) for panel in panels],
        lambda axes, index: draw_panel(axes, panels[index], theme, impls, []),
        theme,
        title,
        "Step: best time so far. Ring: the default config. Dots: every trial that passed. The longest context of each op.",
    )
