"""Latency against context length: a panel an op, a line an implementation, and the least time the roofline allows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsabench.kernels.sizes import format_size
from dsabench.reports.figures.labels import End, label_ends, log_ticks, set_ticks, tick_time
from dsabench.reports.figures.roofline import heading
from dsabench.reports.figures.svg import TITLED
from dsabench.reports.figures.theme import Theme, add_axes, canvas, plain
from dsabench.reports.quantities import Span, format_time, format_time_interval
from dsabench.reports.sections import Section, context_of, other_axes
from dsabench.reports.winners import WinnerRow

WIDTH, HEIGHT = 372.0, 268.0
MOST_PANELS = 36


@dataclass(frozen=True)
class LatencyPanel:
    """One op with its other axes fixed. `lines`: implementation → [(context, time)], by context; `bound` likewise."""

    op: str
    other: str
    lines: dict[str, list[tuple[int, Span]]]
    bound: list[tuple[int, float]]
    provisional: bool

    @property
    def contexts(self) -> list[int]:
        return sorted({context for line in self.lines.values() for context, _ in line})


def latency_panels(section: Section, rows: dict[str, list[WinnerRow]]) -> list[LatencyPanel]:
    """Panels that have at least one measured time; ops with several shapes have a panel for each."""
    panels = []
    for op, group in rows.items():
        shapes: dict[tuple[str, int], list[WinnerRow]] = {}
        for row in group:
            if row.workload is not None and row.time is not None:
                shapes.setdefault((other_axes(row.workload), row.workload.seed), []).append(row)
        for (other, _), members in shapes.items():
            lines: dict[str, list[tuple[int, Span]]] = {}
            bound: dict[int, float] = {}
            for row in members:
                assert row.workload is not None
                assert row.time is not None
                lines.setdefault(row.impl, []).append((context_of(row.workload), row.time))
                record = section.records.get(row.workload.key)
                if record is not None:
                    bound[context_of(row.workload)] = record.roofline.bound_s
            panels.append(
                LatencyPanel(
                    op,
                    other,
                    {impl: sorted(line, key=lambda point: point[0]) for impl, line in lines.items()},
                    sorted(bound.items()),
                    any(row.state == "provisional" for row in members),
                )
            )
    return panels


def thin_contexts(contexts: list[int], most: int = 6) -> list[int]:
    stride = max(1, math.ceil(len(contexts) / most))
    return contexts[::-1][::stride][::-1]


def draw_panel(axes: Axes, panel: LatencyPanel, theme: Theme, impls: list[str], titles: list[str]) -> None:
    contexts = panel.contexts
    times = [
        v for line in panel.lines.values() for _, s in line for v in (s.value, s.low or s.value, s.high or s.value)
    ]
    times += [seconds for _, seconds in panel.bound]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(contexts[0] / 1.35, contexts[-1] * 1.35)
    axes.set_ylim(min(times) / 1.5, max(times) * 1.5)
    plain(axes, theme)
    set_ticks(axes.xaxis, [float(c) for c in thin_contexts(contexts)], lambda v: format_size(round(v)))
    set_ticks(axes.yaxis, log_ticks(*axes.get_ylim(), most=5), tick_time)
    ends: list[End] = []
    if panel.bound:
        axes.plot(*zip(*panel.bound, strict=True), color=theme.muted, lw=1.1, ls=(0, (2, 2)), zorder=2)
        if len(panel.bound) == 1:
            axes.plot(*panel.bound[0], marker="_", ls="none", ms=14, mec=theme.muted, mew=1.1, zorder=2)
        ends.append(End(panel.bound[-1][1], "roofline", theme.muted, bold=False))
    for impl, line in panel.lines.items():
        colour = theme.impl(impl, impls)
        xs, ys = [context for context, _ in line], [span.value for _, span in line]
        axes.plot(xs, ys, color=colour, lw=1.8, zorder=3)
        for context, span in line:
            if span.low is not None and span.high is not None:
                axes.plot(
                    [context, context],
                    [span.low, span.high],
                    color=colour,
                    lw=5,
                    alpha=0.4,
                    solid_capstyle="butt",
                    zorder=3,
                )
            axes.plot(
                [context],
                [span.value],
                "o",
                ms=5.5,
                color=colour,
                mec=theme.card,
                mew=1,
                zorder=4,
                gid=f"{TITLED}{len(titles)}",
            )
            titles.append(
                f"{panel.op}, {impl}, {format_size(context)}: {format_time(span.value)} ({format_time_interval(span)})"
            )
        ends.append(End(ys[-1], impl, colour))
    label_ends(axes, ends, -4)


def draw_latency_panel(panel: LatencyPanel, theme: Theme, impls: list[str]) -> tuple[Figure, list[str]]:
    figure = canvas(WIDTH, HEIGHT, theme)
    titles: list[str] = []
    draw_panel(add_axes(figure, 56, 8, WIDTH - 56 - 62, HEIGHT - 36), panel, theme, impls, titles)
    return figure, titles


def draw_latency_grid(panels: list[LatencyPanel], theme: Theme, impls: list[str], title: str) -> Figure:
    """All panels in one figure, for PNG."""
    return panel_grid(
        [(f"{panel.op}", panel.other) for panel in panels],
        lambda axes, index: draw_panel(axes, panels[index], theme, impls, []),
        theme,
        title,
        "Tuned configs. Dotted: the least time the measured ceilings allow. Bars: interval of the median. Both axes log.",
    )


def panel_grid(
    names: list[tuple[str, str]],
    draw: Callable[[Axes, int], None],
    theme: Theme,
    title: str,
    subtitle: str,
    columns: int = 3,
) -> Figure:
    """Small multiples: `draw(axes, index)` fills each."""
    columns = min(columns, max(1, len(names)))
    # A heading needs its room however few panels there are.
    cell_w, cell_h = (WIDTH, HEIGHT + 34)
    rows = math.ceil(len(names) / columns)
    figure = canvas(max(900.0, 24 + columns * cell_w), 70 + rows * cell_h, theme)
    width, height = figure.get_size_inches() * 72
    for index, (name, detail) in enumerate(names):
        left, top = 12 + (index % columns) * cell_w, 70 + (index // columns) * cell_h
        axes = add_axes(figure, left + 56, top + 40, cell_w - 56 - 62, cell_h - 40 - 34)
        figure.text(
            (left + 8) / width,
            1 - (top + 10) / height,
            name,
            fontsize=12,
            fontweight="bold",
            color=theme.fg,
            va="center",
        )
        figure.text((left + 8) / width, 1 - (top + 26) / height, detail, fontsize=9.5, color=theme.muted, va="center")
        draw(axes, index)
    heading(figure, theme, title, subtitle)
    return figure
