"""What became slower or faster, in seconds a call: a row each, the largest change first, over the band of its noise.

By absolute time, since by ratio the smallest kernels, whose noise is the largest, come first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dsabench.reports.figures.fitted import fitted, text_width, visible
from dsabench.reports.figures.labels import Key, legend, set_ticks, tick_time
from dsabench.reports.figures.roofline import heading
from dsabench.reports.figures.svg import TITLED
from dsabench.reports.figures.theme import Theme, add_axes, canvas, plain
from dsabench.reports.quantities import format_change, format_time, time_unit

MOST_MOVERS = 40

Tone = Literal["slower", "faster", "flat", "unclear"]


@dataclass(frozen=True)
class Mover:
    """One change. label: what changed, e.g. `topk_select/triton`; detail: on which workload; seconds a call, new less old."""

    label: str
    detail: str
    change_s: float
    low_s: float | None
    """of the change's interval; None without one"""
    high_s: float | None
    noise_s: float | None
    """changes up to this, either way, are noise; None where it is not known"""
    tone: Tone


def select_movers(movers: list[Mover], most: int = MOST_MOVERS) -> tuple[list[Mover], int]:
    """The `most` largest changes, largest first, and how many are left out. What is slower is left out last."""
    largest = sorted(movers, key=lambda mover: (-abs(mover.change_s), mover.label, mover.detail))
    kept = sorted(range(len(largest)), key=lambda index: largest[index].tone != "slower")[:most]
    return [largest[index] for index in sorted(kept)], max(0, len(largest) - most)


def draw_movers(
    movers: list[Mover], theme: Theme, *, narrow: bool, title: str = "", subtitle: str = ""
) -> tuple[Figure, list[str]]:
    """The figure and its tooltips. At least one mover, in any order: those of `select_movers` are drawn, and a line says how many
    are not. With `title`, a heading is drawn (PNG)."""
    shown, left_out = select_movers(movers)
    width, row = (366.0, 54.0) if narrow else (1080.0, 22.0)
    head = 62.0 if title else 4.0
    keys = _keys(shown, theme)
    plot_top = head + legend(canvas(width, 10, theme), keys, 8, 0, width - 16, theme) + 8
    height = plot_top + row * len(shown) + 28 + (18 if left_out else 0)
    figure = canvas(width, height, theme)
    legend(figure, keys, 8, head, width - 16, theme)
    left, span = (12.0, width - 24) if narrow else (430.0, 550.0)
    axes = add_axes(figure, left, plot_top, span, row * len(shown))
    titles = _draw(axes, shown, theme, narrow)
    for index, mover in enumerate(shown):
        _write_row(figure, mover, plot_top + row * index, width, height, None if narrow else left, theme)
    if left_out:
        text = f"{left_out} more {'are' if left_out > 1 else 'is'} not shown"
        figure.text(left / width, 9 / height, text, fontsize=10, color=theme.muted, va="center")
    if title:
        room = width - 36
        heading(figure, theme, fitted(title, room, 16, bold=True), fitted(subtitle, room, 11))
    return figure, titles


def _write_row(
    figure: Figure, mover: Mover, top: float, width: float, height: float, plot_left: float | None, theme: Theme
) -> None:
    """What a row says: name and workload left of the plot, the change right of it; on a phone (no `plot_left`) all over its mark,
    where the grid's lines must not run through the words."""
    change = format_change(mover.change_s)
    behind = {"facecolor": theme.card, "edgecolor": "none", "pad": 1} if plot_left is None else None

    def write(x: float, y: float, text: str, size: float, colour: str, bold: bool = False, right: bool = False) -> None:
        figure.text(
            x / width,
            1 - y / height,
            text,
            fontsize=size,
            fontweight="bold" if bold else "normal",
            color=colour,
            ha="right" if right else "left",
            va="center_baseline",
            bbox=behind,
        )

    y = top + 11
    write(width - 8, y, change, 10.5, _colour(mover.tone, theme), right=True)
    if plot_left is None:
        name = fitted(mover.label, width - 28 - text_width(change, 10.5), 10.5, bold=True)
        write(8, y + 15, fitted(mover.detail, width - 16, 10), 10, theme.muted)
    else:
        room = plot_left - 20
        name = fitted(mover.label, room * 0.6, 10.5, bold=True)
        used = text_width(name, 10.5, bold=True) + 10
        write(8 + used, y, fitted(mover.detail, room - used, 10), 10, theme.muted)
    write(8, y, name, 10.5, theme.fg, bold=True)


def _colour(tone: Tone, theme: Theme) -> str:
    return {"slower": theme.warn, "faster": theme.series[0], "flat": theme.muted, "unclear": theme.series[6]}[tone]


_WORDS: dict[Tone, str] = {
    "slower": "slower",
    "unclear": "no verdict",
    "faster": "faster",
    "flat": "within the noise",
}


def _keys(shown: list[Mover], theme: Theme) -> list[Key]:
    """Only of what is there. Outlined: no verdict, told by more than its colour."""
    tones = {mover.tone for mover in shown}
    keys = [
        Key(words, _colour(tone, theme), "diamond" if tone == "unclear" else "square")
        for tone, words in _WORDS.items()
        if tone in tones
    ]
    if any(mover.noise_s is not None for mover in shown):
        keys.append(Key("band: the noise, either way", theme.grid))
    return keys


def _limits(shown: list[Mover], logarithmic: bool) -> tuple[float, float]:
    """Of the axis: everything in it but noise wider than all changes, which would press them into the middle."""
    ends = [end for m in shown for end in (m.change_s, m.low_s, m.high_s) if end is not None]
    least, most = min([0.0, *ends]), max([0.0, *ends])
    # 1 ns: the axis of changes that are all exactly 0.
    reach = max(most, -least, 1e-9)
    noise = min(max((m.noise_s or 0.0 for m in shown), default=0.0), reach)
    low, high = min(least, -noise), max(most, noise)
    if logarithmic:
        return low * 1.4, high * 1.4
    return low - 0.06 * reach, high + 0.06 * reach


def _decades(shown: list[Mover]) -> list[float]:
    """The powers of ten of a logarithmic axis; none where a linear one will do. Changes below the first stand on a linear part about
    zero: no change smaller than the noise is drawn out."""
    sizes = [abs(mover.change_s) for mover in shown]
    noise = median([mover.noise_s or 0.0 for mover in shown])
    if sizes[0] <= _SPREAD * max(median(sizes), noise):
        return []
    last = math.floor(math.log10(sizes[0]))
    first = max(last - _MOST_DECADES + 1, math.floor(math.log10(noise)) if noise else -math.inf)
    return [10.0**exponent for exponent in range(int(first), last + 1)]


def _ticks(axes: Axes, limits: tuple[float, float], decades: list[float], most: int) -> None:
    unit, name = time_unit(max(abs(end) for end in limits))
    if decades:
        ticks = [*(-d for d in decades), 0.0, *decades]
        write = lambda v: "0" if v == 0 else f"{'+' if v > 0 else '−'}{tick_time(abs(v))}"
    else:
        ticks = [t * unit for t in MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(*(e / unit for e in limits))]
        write = lambda v: "0" if abs(v) < unit * 1e-9 else f"{'+' if v > 0 else '−'}{abs(v) / unit:.4g} {name}"
    set_ticks(axes.xaxis, [t for t in ticks if limits[0] <= t <= limits[1]], write)


_MOST_DECADES = 3
_SPREAD = 30.0
"""A largest change over the middle one from which the axis is logarithmic: on a linear one most would stand at zero."""


def _draw(axes: Axes, shown: list[Mover], theme: Theme, narrow: bool) -> list[str]:
    decades = _decades(shown)
    limits = _limits(shown, bool(decades))
    if decades:
        axes.set_xscale("symlog", linthresh=decades[0])
    axes.set_xlim(*limits)
    axes.set_ylim(len(shown), 0)
    plain(axes, theme)
    axes.grid(False, axis="y")
    axes.set_yticks([])
    _ticks(axes, limits, decades, 4 if narrow else 7)
    axes.axvline(0, color=theme.fg, lw=1.2, zorder=3)
    titles: list[str] = []
    for index, mover in enumerate(shown):
        y = index + (0.76 if narrow else 0.5)
        colour = _colour(mover.tone, theme)
        if mover.noise_s is not None:
            half = 0.13 if narrow else 0.34
            axes.fill_between(
                [-mover.noise_s, mover.noise_s], [y - half] * 2, [y + half] * 2, color=theme.grid, lw=0, zorder=1.5
            )
        axes.plot([0, mover.change_s], [y, y], color=colour, lw=1.4, alpha=0.5, zorder=3)
        if mover.low_s is not None and mover.high_s is not None:
            ends = [mover.low_s, mover.high_s]
            axes.plot(ends, [y, y], color=colour, lw=4.5, alpha=0.4, solid_capstyle="butt", zorder=3)
        axes.plot(
            [mover.change_s],
            [y],
            "D" if mover.tone == "unclear" else "o",
            ms=5.5 if mover.tone == "unclear" else 6.5,
            mfc=theme.card if mover.tone == "unclear" else colour,
            mec=colour,
            mew=1.2,
            zorder=4,
            clip_on=False,
            gid=f"{TITLED}{len(titles)}",
        )
        titles.append(_tooltip(mover))
    return titles


def _tooltip(mover: Mover) -> str:
    words = f"{visible(mover.label)} {visible(mover.detail)}: {format_change(mover.change_s)}"
    if mover.low_s is not None and mover.high_s is not None:
        words += f" ({format_change(mover.low_s)} to {format_change(mover.high_s)})"
    words += f", {_WORDS[mover.tone]}"
    return words if mover.noise_s is None else f"{words}; noise ±{format_time(mover.noise_s)}"
