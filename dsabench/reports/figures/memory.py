"""Memory of dense and sparse attention: caches a token, caches of a whole sequence, and what a call needs besides."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dsabench.bench.records import SideRecord
from dsabench.bench.scaling.bill import CacheBytes, cache_bytes
from dsabench.bench.scaling.cost import LAYERS
from dsabench.bench.scaling.lengths import format_length
from dsabench.reports.dense.study import Study
from dsabench.reports.figures.cost import side_colour
from dsabench.reports.figures.labels import Key, legend
from dsabench.reports.figures.roofline import heading
from dsabench.reports.figures.svg import TITLED
from dsabench.reports.figures.theme import Theme, add_axes, canvas, plain
from dsabench.reports.quantities import format_bytes

_SIDES = ("dense", "sparse")
_BAR, _GAP = 14.0, 10.0


@dataclass(frozen=True)
class Call:
    """Bytes that a call in one layer needs besides caches. buffers: allocated once (scores, indices, outputs); extra: the most
    beyond those, None where unreadable."""

    buffers: int
    extra: int | None

    @property
    def words(self) -> str:
        return f"{format_bytes(self.buffers)} + {'?' if self.extra is None else format_bytes(self.extra)}"


@dataclass(frozen=True)
class MemoryRow:
    """One context; by side, those that were measured. caches: bytes of all layers for one sequence of that length."""

    label: str
    caches: dict[str, int]
    calls: dict[str, Call]


@dataclass(frozen=True)
class MemoryPanel:
    phase: str
    name: str
    cache: CacheBytes
    rows: list[MemoryRow]


def memory_panel(study: Study) -> MemoryPanel | None:
    """None where no side was measured."""
    cache = cache_bytes(study.points)
    rows = []
    for point in study.points:
        found: dict[str, SideRecord | None] = {"dense": point.dense, "sparse": point.sparse}
        calls = {name: Call(side.buffer_bytes, side.peak_extra_bytes) for name, side in found.items() if side}
        rows.append(MemoryRow(format_length(point.context), dict(cache.total(point.context)), calls))
    return MemoryPanel(study.phase, study.name, cache, rows) if rows and rows[-1].caches else None


@dataclass(frozen=True)
class _Bar:
    """`filled` bytes, then `hollow` ones; `text` at its end."""

    side: str
    filled: int
    hollow: int
    text: str


@dataclass(frozen=True)
class _Block:
    """Groups of bars, each with the name of its row."""

    title: str
    groups: list[tuple[str, list[_Bar]]]

    @property
    def height(self) -> float:
        return sum(len(bars) * _BAR + _GAP for _, bars in self.groups)


def _blocks(panel: MemoryPanel) -> list[_Block]:
    saving = panel.cache.saving
    less = "" if saving is None else f", {abs(saving):.1%} {'less' if saving >= 0 else 'more'}"
    each = {"dense": panel.cache.dense, "sparse": panel.cache.sparse}
    first = [
        _Bar(side, count, 0, f"{count} B{less if side == 'sparse' else ''}")
        for side, count in each.items()
        if count is not None
    ]
    caches = [
        (
            row.label,
            [_Bar(side, row.caches[side], 0, format_bytes(row.caches[side])) for side in _SIDES if side in row.caches],
        )
        for row in panel.rows
    ]
    calls = [
        (row.label, [_Bar(side, call.buffers, call.extra or 0, call.words) for side, call in row.calls.items()])
        for row in panel.rows
        if row.calls
    ]
    return [
        _Block("KV cache, a token and layer", [("", first)]),
        _Block(f"KV cache of a sequence, {LAYERS} layers", caches),
        _Block("A call in one layer: buffers + peak extra", calls),
    ]


def _draw_block(axes: Axes, block: _Block, theme: Theme, titles: list[str], text_room: float) -> None:
    """Bars from 0, downwards. text_room: pixels that are kept free for the numbers at their ends."""
    longest = max((bar.filled + bar.hollow for _, bars in block.groups for bar in bars), default=0) or 1
    width = axes.get_window_extent().width
    axes.set_xlim(0, longest * width / max(40.0, width - text_room))
    axes.set_ylim(block.height, 0)
    plain(axes, theme)
    axes.grid(False)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    ticks: dict[float, str] = {}
    y = _GAP / 2
    for name, bars in block.groups:
        ticks[y + len(bars) * _BAR / 2] = name
        for bar in bars:
            colour = side_colour(theme, bar.side)
            for start, length, fill in ((0, bar.filled, colour), (bar.filled, bar.hollow, "none")):
                (patch,) = axes.barh(
                    [y + _BAR / 2], [length], height=_BAR - 4, left=start, color=fill, edgecolor=colour, lw=1, zorder=3
                )
                patch.set_gid(f"{TITLED}{len(titles)}")
                titles.append(f"{bar.side} {name}: {bar.text}")
            axes.annotate(
                bar.text,
                (bar.filled + bar.hollow, y + _BAR / 2),
                xytext=(5, 0),
                textcoords="offset points",
                fontsize=9.5,
                color=theme.fg,
                va="center_baseline",
                annotation_clip=False,
            )
            y += _BAR
        y += _GAP
    axes.set_yticks(list(ticks), list(ticks.values()))


_TEXT_ROOM = (96.0, 60.0, 128.0)
_HEAD = 22.0


def _draw_blocks(
    figure: Figure,
    panel: MemoryPanel,
    theme: Theme,
    titles: list[str],
    left: float,
    top: float,
    width: float,
    narrow: bool,
) -> float:
    """Blocks beside each other, stacked when narrow. Returns the height."""
    total_w, total_h = figure.get_size_inches() * 72
    blocks = _blocks(panel)
    parts = [1.0] * 3 if narrow else [0.28, 0.33, 0.39]
    x, y, tallest = left, top, 0.0
    for index, block in enumerate(blocks):
        if not block.groups:
            continue
        span = width * parts[index]
        label_room = 14.0 if index == 0 else 46.0
        figure.text(
            (x + 4) / total_w,
            1 - (y + 10) / total_h,
            block.title,
            fontsize=11,
            fontweight="bold",
            color=theme.fg,
            va="center",
        )
        axes = add_axes(figure, x + label_room, y + _HEAD, span - label_room - 10, block.height)
        _draw_block(axes, block, theme, titles, _TEXT_ROOM[index])
        if narrow:
            y += _HEAD + block.height + 8
        else:
            x += span
            tallest = max(tallest, _HEAD + block.height)
    return y - top if narrow else tallest


def _height(panel: MemoryPanel, narrow: bool) -> float:
    heights = [_HEAD + block.height for block in _blocks(panel) if block.groups]
    return sum(height + 8 for height in heights) if narrow else max(heights)


def _keys(theme: Theme) -> list[Key]:
    return [Key(side, side_colour(theme, side)) for side in _SIDES]


def draw_memory(panel: MemoryPanel, theme: Theme, *, narrow: bool) -> tuple[Figure, list[str]]:
    width = 366.0 if narrow else 1080.0
    figure = canvas(width, _height(panel, narrow) + 30, theme)
    titles: list[str] = []
    top = legend(figure, _keys(theme), 8, 0, width - 16, theme) + 6
    _draw_blocks(figure, panel, theme, titles, 4, top, width - 8, narrow)
    return figure, titles


def draw_memory_grid(panels: list[MemoryPanel], theme: Theme, title: str, subtitle: str) -> Figure:
    """A panel below another, for PNG."""
    heights = [_height(panel, narrow=False) + 52 for panel in panels]
    figure = canvas(1080, 78 + sum(heights) + 24, theme)
    total_w, total_h = figure.get_size_inches() * 72
    legend(figure, _keys(theme), 20, 62, 400, theme)
    top = 92.0
    for panel, height in zip(panels, heights, strict=True):
        at = (20 / total_w, 1 - (top + 8) / total_h)
        figure.text(*at, panel.name, fontsize=12, fontweight="bold", color=theme.fg, va="center")
        _draw_blocks(figure, panel, theme, [], 16, top + 24, 1040, narrow=False)
        top += height
    heading(figure, theme, title, subtitle)
    return figure
