"""Labels beside what they name, without overlaps; ticks that people would choose."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation, Text
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from matplotlib.transforms import Bbox

from dsabench.reports.figures.theme import Theme
from dsabench.reports.quantities import format_time


@dataclass(frozen=True)
class Label:
    """`points`, in data coordinates: what is named, any of which the label may stand at."""

    points: tuple[tuple[float, float], ...]
    text: str
    colour: str


def extent(axes: Axes, artist: Text) -> Bbox:
    """In pixels, as drawn now."""
    return artist.get_window_extent(RendererAgg(1, 1, 72))


def boxes_along(axes: Axes, xs: list[float], ys: list[float], step: float = 8, half: float = 3) -> list[Bbox]:
    """Small boxes covering a polyline given in data coordinates: obstacles for labels."""
    points = axes.transData.transform(list(zip(xs, ys, strict=True)))
    boxes = []
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        count = max(1, int(math.hypot(x1 - x0, y1 - y0) / step))
        for i in range(count + 1):
            x, y = x0 + (x1 - x0) * i / count, y0 + (y1 - y0) * i / count
            boxes.append(Bbox.from_extents(x - half, y - half, x + half, y + half))
    return boxes


def covered(box: Bbox, others: np.ndarray) -> float:
    """Area that `box` shares with boxes given as rows of x0, y0, x1, y1."""
    width = np.minimum(box.x1, others[:, 2]) - np.maximum(box.x0, others[:, 0])
    height = np.minimum(box.y1, others[:, 3]) - np.maximum(box.y0, others[:, 1])
    return float((np.maximum(width, 0) * np.maximum(height, 0)).sum())


def as_rows(boxes: list[Bbox]) -> np.ndarray:
    return np.array([box.extents for box in boxes], dtype=float).reshape(-1, 4)


_DISTANCES = (10, 18, 30, 46, 66, 90, 120)


def place_labels(
    axes: Axes, labels: list[Label], obstacles: list[Bbox], size: float, theme: Theme, *, bold: bool = True
) -> list[Annotation]:
    """Writes each label at the nearest of 84 places around its point where it covers least; a thin line leads to
    those that stand off."""
    weight = "bold" if bold else "normal"
    inside = as_rows([axes.get_window_extent()])
    taken = as_rows(obstacles)
    names: list[Bbox] = []
    placed = []
    for label in labels:
        probe = axes.text(0, 0, label.text, fontsize=size, fontweight=weight)
        box = extent(axes, probe)
        probe.remove()
        w, h = box.width, box.height
        best: tuple[float, float, float, tuple[float, float]] | None = None
        for point in label.points:
            x, y = axes.transData.transform(point)
            for distance, angle in itertools.product(_DISTANCES, range(0, 360, 30)):
                cx = x + (distance + w / 2) * math.cos(math.radians(angle))
                cy = y + (distance + h / 2) * math.sin(math.radians(angle))
                here = Bbox.from_extents(cx - w / 2 - 2, cy - h / 2 - 1, cx + w / 2 + 2, cy + h / 2 + 1)
                outside = (w + 4) * (h + 2) - covered(here, inside)
                penalty = covered(here, taken) * 4 + outside * 6 + distance * 4
                if distance > 20:
                    leader = Bbox.from_extents(min(x, cx), min(y, cy), max(x, cx), max(y, cy))
                    penalty += 150 * (covered(leader, as_rows(names)) > 0)
                if best is None or penalty < best[0]:
                    best = (penalty, cx, cy, point)
        assert best is not None
        _, cx, cy, point = best
        x, y = axes.transData.transform(point)
        far = math.hypot(max(0.0, abs(cx - x) - w / 2), max(0.0, abs(cy - y) - h / 2)) > 20
        placed.append(
            axes.annotate(
                label.text,
                point,
                xytext=(cx - x, cy - y),
                textcoords="offset points",
                ha="center",
                va="center_baseline",
                fontsize=size,
                fontweight=weight,
                color=label.colour,
                zorder=6,
                annotation_clip=False,
                arrowprops={"arrowstyle": "-", "color": label.colour, "lw": 0.8, "alpha": 0.6, "shrinkB": 5}
                if far
                else None,
            )
        )
        names.append(Bbox.from_extents(cx - w / 2 - 3, cy - h / 2 - 2, cx + w / 2 + 3, cy + h / 2 + 2))
        lead = [(x + (cx - x) * i / 8, y + (cy - y) * i / 8) for i in range(1, 8)] if far else []
        marks = [Bbox.from_extents(px - 3, py - 3, px + 3, py + 3) for px, py in lead]
        taken = np.vstack([taken, as_rows([names[-1], *marks])])
    return placed


def spread(positions: list[float], gap: float, low: float, high: float) -> list[float]:
    """Positions moved apart to at least `gap`, in their order, within [low, high] where they fit."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    moved = list(positions)
    previous = low - gap
    for i in order:
        moved[i] = max(positions[i], previous + gap)
        previous = moved[i]
    ceiling = high
    for i in reversed(order):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved


@dataclass(frozen=True)
class End:
    """The name of a line at its right end, `y` in data coordinates."""

    y: float
    name: str
    colour: str
    bold: bool = True


def label_ends(axes: Axes, ends: list[End], offset: float) -> None:
    """Names lines at the right edge of the axes, `offset` pixels from it, moved apart where they would touch."""
    pixels = [float(axes.transData.transform((1.0, end.y))[1]) for end in ends]
    box = axes.get_window_extent()
    for end, y in zip(ends, spread(pixels, 13, box.y0, box.y1), strict=True):
        axes.annotate(
            end.name,
            (1, (y - box.y0) / box.height),
            xycoords="axes fraction",
            xytext=(offset, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=10.5,
            fontweight="bold" if end.bold else "normal",
            color=end.colour,
            annotation_clip=False,
        )


@dataclass(frozen=True)
class Key:
    """One entry of a legend. mark: a filled square, or a line of the dash pattern."""

    name: str
    colour: str
    mark: Literal["square", "solid", "dashed", "dotted", "diamond"] = "square"


DASHES: dict[str, Any] = {"solid": "-", "dashed": (0, (4, 2)), "dotted": (0, (1, 1.6))}
_KEY_ROW = 18.0


def legend(figure: Figure, keys: list[Key], left: float, top: float, width: float, theme: Theme) -> float:
    """Keys in rows from (left, top), in pixels from the top left, as many a row as fit `width`. Returns their height."""
    total_w, total_h = figure.get_size_inches() * 72
    x, y = left, top + _KEY_ROW / 2
    for key in keys:
        text = figure.text(0, 0, key.name, fontsize=10.5, color=theme.fg, va="center_baseline")
        needed = 22 + text.get_window_extent(RendererAgg(1, 1, 72)).width + 16
        if x > left and x + needed - 16 > left + width:
            x, y = left, y + _KEY_ROW
        ends = [x / total_w, (x + 16) / total_w]
        middle = 1 - y / total_h
        if key.mark in DASHES:
            line = Line2D(ends, [middle] * 2, color=key.colour, lw=2, ls=DASHES[key.mark])
        else:
            marker = "s" if key.mark == "square" else "D"
            fill = key.colour if key.mark == "square" else "none"
            line = Line2D(
                [(x + 9) / total_w], [middle], marker=marker, ls="none", ms=8, mfc=fill, mec=key.colour, mew=1.3
            )
        line.set_transform(figure.transFigure)
        figure.add_artist(line)
        text.set_position(((x + 22) / total_w, middle))
        x += needed
    return y + _KEY_ROW / 2 - top


def spaced(positions: list[float], gap: float) -> list[int]:
    """Indices of those that stand at least `gap` from the next one kept, from the last backwards. `positions` ascend."""
    kept: list[int] = []
    for index in reversed(range(len(positions))):
        if not kept or positions[kept[-1]] - positions[index] >= gap:
            kept.append(index)
    return kept[::-1]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """1-2-5 steps over a short range, decades over a longer one, every n-th decade over a very long one."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [s * 10.0**e for e in range(first, last + 1) for s in steps if low <= s * 10.0**e <= high]
        if len(ticks) <= most and (len(ticks) >= 2 or steps == (1,)):
            break
    stride = math.ceil(len(ticks) / most)
    return ticks[::stride] if len(ticks) >= 2 else [float(f"{low:.2g}"), float(f"{high:.2g}")]


def set_ticks(axis: object, ticks: list[float], write: Callable[[float], str]) -> None:
    axis.set_major_locator(FixedLocator(ticks))  # type: ignore[attr-defined]
    axis.set_major_formatter(FixedFormatter([write(t) for t in ticks]))  # type: ignore[attr-defined]
    axis.set_minor_locator(NullLocator())  # type: ignore[attr-defined]


def tick_time(seconds: float) -> str:
    number, unit = format_time(seconds).split(" ")
    return f"{float(number):g} {unit}"


def tick_count(value: float) -> str:
    return f"{value:g}" if value < 10_000 else f"{value / 1000:g}k"


def unit_above(axes: Axes, unit: str, theme: Theme, size: float, *, centred: bool = False) -> None:
    """The y axis' unit over its ticks: beside them it would take the room of a phone's plot."""
    axes.annotate(
        unit,
        (0, 1),
        xycoords="axes fraction",
        xytext=(-4, 4),
        textcoords="offset points",
        ha="right" if axes.get_window_extent().x0 > 70 and not centred else "center",
        fontsize=size - 1,
        color=theme.muted,
    )
