"""The roofline: measured ceilings, one dot a workload, an arrow from its default config to its tuned one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from dsabench.bench.records import Status
from dsabench.reports.figures.labels import (
    Label,
    as_rows,
    boxes_along,
    covered,
    extent,
    log_ticks,
    place_labels,
    set_ticks,
    tick_count,
    unit_above,
)
from dsabench.reports.figures.svg import TITLED
from dsabench.reports.figures.theme import Theme, add_axes, canvas, plain
from dsabench.reports.quantities import (
    format_byte_rate,
    format_flop_rate,
    format_percent,
    format_time,
    rate_unit,
)
from dsabench.reports.sections import Section, context_label, context_of, other_axes
from dsabench.reports.winners import ROOF_MARGIN, WinnerRow


@dataclass(frozen=True)
class Dot:
    """The fastest implementation of one workload. `flops` is 0 for an op without products (top-k)."""

    op: str
    impl: str
    context: int
    context_text: str
    axes_text: str
    flops: int
    bytes: int
    tuned_s: float
    default_s: float | None
    fraction: float
    limit: str
    impossible: bool = False

    @property
    def intensity(self) -> float:
        return self.flops / self.bytes

    @property
    def above_roof(self) -> bool:
        return self.impossible or self.fraction > ROOF_MARGIN

    def tooltip(self) -> str:
        rate = (
            format_flop_rate(self.flops / self.tuned_s) if self.flops else format_byte_rate(self.bytes / self.tuned_s)
        )
        words = f"{self.op} {self.context_text} ({self.axes_text}), {self.impl}: {format_time(self.tuned_s)}, {rate}"
        words += f", {format_percent(self.fraction)} of the {self.limit} roof"
        if self.above_roof:
            return words + "; above the roof: an accounting error, not a result"
        if self.default_s is not None and self.default_s > self.tuned_s:
            words += f"; its default config takes {format_time(self.default_s)}"
        return words


def dots_of(section: Section, fastest: list[WinnerRow]) -> list[Dot]:
    dots = []
    for row in fastest:
        record = section.records.get(row.workload.key) if row.workload else None
        if record is None or row.workload is None or row.time is None:
            continue
        dots.append(
            Dot(
                op=row.op,
                impl=row.impl,
                context=context_of(row.workload),
                context_text=context_label(row.workload),
                axes_text=other_axes(row.workload),
                flops=record.flops,
                bytes=record.compulsory_bytes,
                tuned_s=row.time.value,
                default_s=row.default_time.value if row.default_time else None,
                fraction=record.roofline.bound_s / row.time.value,
                limit=row.limit,
            )
        )
    return dots + _impossible(section)


def _impossible(section: Section) -> list[Dot]:
    """The fastest IMPOSSIBLE trial of each workload: drawn, so that a broken measurement is seen."""
    found: dict[str, Dot] = {}
    for trial in section.trials:
        record = section.records.get(trial.workload.key)
        if trial.status is not Status.IMPOSSIBLE or trial.timing is None or record is None:
            continue
        held = found.get(trial.workload.key)
        if held is None or trial.timing.median_s < held.tuned_s:
            found[trial.workload.key] = Dot(
                op=trial.op,
                impl=trial.impl,
                context=context_of(trial.workload),
                context_text=context_label(trial.workload),
                axes_text=other_axes(trial.workload),
                flops=record.flops,
                bytes=record.compulsory_bytes,
                tuned_s=trial.timing.median_s,
                default_s=None,
                fraction=record.roofline.bound_s / trial.timing.median_s,
                limit=record.roofline.product or record.roofline.bandwidth,
                impossible=True,
            )
    return list(found.values())


def _size(dot: Dot, dots: list[Dot]) -> float:
    """Marker diameter: 7 … 13 pixels from the shortest to the longest context of the op."""
    contexts = sorted({other.context for other in dots if other.op == dot.op})
    place = contexts.index(dot.context) / (len(contexts) - 1) if len(contexts) > 1 else 0.5
    return 7 + 6 * place


def _draw_dots(
    axes: Axes,
    dots: list[Dot],
    points: list[tuple[float, float, float | None]],
    theme: Theme,
    ops: list[str],
    titles: list[str],
) -> list[Bbox]:
    """Arrows and dots at (x, tuned y, default y). Returns their boxes."""
    boxes = []
    for dot, (x, y, y_default) in zip(dots, points, strict=True):
        colour = theme.warn if dot.above_roof else theme.series[ops.index(dot.op) % len(theme.series)]
        if y_default is not None and y_default < y * 0.98:
            axes.annotate(
                "",
                (x, y),
                xytext=(x, y_default),
                arrowprops={
                    "arrowstyle": "-|>,head_width=0.25,head_length=0.5",
                    "color": colour,
                    "lw": 1.3,
                    "shrinkA": 0,
                    "shrinkB": _size(dot, dots) / 2,
                },
                zorder=3,
            )
            axes.plot([x], [y_default], marker="o", ls="none", ms=4.5, mfc=theme.card, mec=colour, mew=1.2, zorder=4)
            boxes += boxes_along(axes, [x, x], [y_default, y])
        size = _size(dot, dots)
        axes.plot(
            [x],
            [y],
            marker="X" if dot.above_roof else "o",
            ls="none",
            ms=size,
            mfc=colour,
            mec=theme.card,
            mew=1,
            zorder=5,
            gid=f"{TITLED}{len(titles)}",
        )
        titles.append(dot.tooltip())
        px, py = axes.transData.transform((x, y))
        boxes.append(Bbox.from_extents(px - size / 2 - 1, py - size / 2 - 1, px + size / 2 + 1, py + size / 2 + 1))
    return boxes


def _op_labels(
    dots: list[Dot], points: list[tuple[float, float, float | None]], theme: Theme, ops: list[str]
) -> list[Label]:
    """One name an op, at its longest context or its slowest default; `above the roof` where accounting broke."""
    labels = []
    for op in ops:
        mine = [
            (dot.context, x, y, d)
            for dot, (x, y, d) in zip(dots, points, strict=True)
            if dot.op == op and not dot.above_roof
        ]
        if mine:
            _, x, y, _ = max(mine, key=lambda point: point[0])
            low_x, low_y = min(((x, d or y) for _, x, y, d in mine), key=lambda point: point[1])
            labels.append(Label(((x, y), (low_x, low_y)), op, theme.series[ops.index(op) % len(theme.series)]))
    for dot, (x, y, _) in zip(dots, points, strict=True):
        if dot.above_roof:
            labels.append(Label(((x, y),), f"{dot.op} {dot.context_text}: accounting error", theme.warn))
    return labels[: len(ops) + 6]


def _draw_roofs(
    axes: Axes,
    section: Section,
    theme: Theme,
    limits: tuple[float, float, float, float],
    size: float,
    taken: list[Bbox],
) -> list[Bbox]:
    """Horizontal product ceilings and sloping bandwidths, each named on its line, clear of the boxes `taken`. Returns the
    boxes they cover."""
    assert section.ceilings is not None
    low_x, high_x, low_y, _ = limits
    products = sorted(section.ceilings.product.items(), key=lambda item: -item[1].value)
    bandwidths = sorted(section.ceilings.bandwidth.items(), key=lambda item: -item[1].value)
    top = products[0][1].value if products else limits[3]
    fastest = bandwidths[0][1].value if bandwidths else math.inf
    boxes: list[Bbox] = []
    for index, (name, rate) in enumerate(products):
        xs, ys = [max(low_x, rate.value / fastest), high_x], [rate.value, rate.value]
        axes.plot(xs, ys, color=theme.fg, lw=1.8 if index == 0 else 1.1, solid_capstyle="butt", zorder=2)
        boxes += boxes_along(axes, xs, ys)
        boxes.append(
            label_level(axes, rate.value, xs[0], f"{name} products {format_flop_rate(rate.value)}", size, theme, taken)
        )
    (px0, py0), (px1, py1) = axes.transData.transform([(low_x, low_x), (high_x, high_x)])
    slant = math.degrees(math.atan2(py1 - py0, px1 - px0))
    for index, (name, rate) in enumerate(bandwidths):
        start, stop = max(low_x, low_y / rate.value), top / rate.value
        xs, ys = [start, stop], [start * rate.value, top]
        axes.plot(xs, ys, color=theme.fg, lw=1.8 if index == 0 else 1.1, solid_capstyle="butt", zorder=2)
        # The fastest above its line, the others below theirs: two bandwidths may nearly coincide.
        at = math.sqrt(start * stop)
        offset = 4 if index == 0 else -4
        text = axes.annotate(
            f"{name} {format_byte_rate(rate.value)}",
            (at, at * rate.value),
            xytext=(-offset * math.sin(math.radians(slant)), offset * math.cos(math.radians(slant))),
            textcoords="offset points",
            ha="center",
            va="bottom" if index == 0 else "top",
            rotation=slant,
            rotation_mode="anchor",
            fontsize=size,
            color=theme.fg,
            zorder=6,
        )
        boxes += [*boxes_along(axes, xs, ys, half=2), *_boxes_of_slanted(extent(axes, text))]
    return boxes


def label_level(axes: Axes, y: float, first_x: float, text: str, size: float, theme: Theme, taken: list[Bbox]) -> Bbox:
    """Names a horizontal line where it crosses least, from the right end leftwards, above it or below."""
    window = axes.get_window_extent()
    start = max(0.0, (axes.transData.transform((first_x, y))[0] - window.x0) / window.width)
    best: tuple[float, float, int] | None = None
    probe = axes.annotate(text, (1, y), xycoords=("axes fraction", "data"), fontsize=size)
    box = extent(axes, probe)
    probe.remove()
    level = axes.transData.transform((first_x, y))[1]
    rows = as_rows(taken)
    for step in range(11):
        right = 1 - step * (1 - start) / 11
        for side in (1, -1):
            x1 = window.x0 + right * window.width - 2
            y0 = level + (3 if side > 0 else -3 - box.height)
            here = Bbox.from_bounds(x1 - box.width, y0, box.width, box.height)
            crossed = covered(here, rows) + (1000 if here.x0 < window.x0 + start * window.width else 0)
            cost = crossed + 6 * step + (2 if side < 0 else 0)
            if best is None or cost < best[0]:
                best = (cost, right, side)
    assert best is not None
    _, right, side = best
    placed = axes.annotate(
        text,
        (right, y),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 3 * side),
        textcoords="offset points",
        ha="right",
        va="bottom" if side > 0 else "top",
        fontsize=size,
        color=theme.fg,
        zorder=6,
    )
    return extent(axes, placed)


def _boxes_of_slanted(box: Bbox) -> list[Bbox]:
    """The diagonal of a slanted text's box: the box itself would claim both empty corners."""
    steps = max(1, int(box.width / 8))
    return [
        Bbox.from_bounds(box.x0 + box.width * i / steps - 6, box.y0 + box.height * i / steps - 6, 12, 12)
        for i in range(steps + 1)
    ]


def _limits(
    section: Section, dots: list[Dot], points: list[tuple[float, float, float | None]]
) -> tuple[float, float, float, float]:
    """x from well below the ridge to past the last dot, y from below the slowest default to above the highest roof."""
    xs = [x for x, _, _ in points]
    ys = [value for _, y, d in points for value in (y, d) if value is not None]
    ceilings = section.ceilings
    if ceilings and ceilings.product and ceilings.bandwidth:
        top = max(rate.value for rate in ceilings.product.values())
        ridge = top / max(rate.value for rate in ceilings.bandwidth.values())
        xs += [ridge / 5, ridge * 8]
        ys += [top, top / 5]
    return min(xs) / 1.5, max(xs) * 2.2, min(ys) / 1.8, max(ys) * 1.7


def _main_panel(
    axes: Axes, section: Section, dots: list[Dot], theme: Theme, ops: list[str], size: float, titles: list[str]
) -> None:
    points = [
        (dot.intensity, dot.flops / dot.tuned_s, dot.flops / dot.default_s if dot.default_s else None) for dot in dots
    ]
    limits = _limits(section, dots, points)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(limits[0], limits[1])
    axes.set_ylim(limits[2], limits[3])
    plain(axes, theme)
    set_ticks(axes.xaxis, log_ticks(limits[0], limits[1], 7), tick_count)
    scale, unit = rate_unit(limits[3], "FLOP/s")
    set_ticks(axes.yaxis, log_ticks(limits[2], limits[3]), lambda v: f"{v / scale:g}")
    axes.set_xlabel("FLOP per compulsory byte", color=theme.muted, fontsize=size)
    unit_above(axes, unit, theme, size)
    obstacles = _draw_dots(axes, dots, points, theme, ops, titles)
    if section.ceilings:
        obstacles += _draw_roofs(axes, section, theme, limits, size - 1, obstacles)
    place_labels(axes, _op_labels(dots, points, theme, ops), obstacles, size, theme)


def _bytes_panel(
    axes: Axes, section: Section, dots: list[Dot], theme: Theme, ops: list[str], size: float, titles: list[str]
) -> None:
    """Ops without products have no place on a FLOP roofline: their compulsory bytes a second, against the bandwidths."""
    contexts = sorted({(dot.context, dot.context_text) for dot in dots})
    place = {context: float(i) for i, (context, _) in enumerate(contexts)}
    points = [
        (place[dot.context], dot.bytes / dot.tuned_s, dot.bytes / dot.default_s if dot.default_s else None)
        for dot in dots
    ]
    roofs = sorted(section.ceilings.bandwidth.items(), key=lambda item: -item[1].value) if section.ceilings else []
    ys = [v for _, y, d in points for v in (y, d) if v is not None] + [rate.value for _, rate in roofs]
    axes.set_yscale("log")
    axes.set_xlim(-0.6, len(contexts) - 0.4)
    axes.set_ylim(min(ys) / 1.5, max(ys) * 1.5)
    plain(axes, theme)
    axes.grid(False, axis="x")
    axes.set_xticks(list(place.values()), [text for _, text in contexts])
    scale, unit = rate_unit(max(ys), "B/s")
    set_ticks(axes.yaxis, log_ticks(*axes.get_ylim(), most=6), lambda v: f"{v / scale:g}")
    axes.set_xlabel("context (no products)", color=theme.muted, fontsize=size)
    unit_above(axes, unit, theme, size)
    obstacles = _draw_dots(axes, dots, points, theme, ops, titles)
    for index, (name, rate) in enumerate(roofs):
        axes.axhline(rate.value, color=theme.fg, lw=1.8 if index == 0 else 1.1, zorder=2)
        obstacles += boxes_along(axes, [-0.6, len(contexts) - 0.4], [rate.value, rate.value])
        text = f"{name} {format_byte_rate(rate.value)}"
        obstacles.append(label_level(axes, rate.value, -0.6, text, size - 1, theme, obstacles))
    place_labels(axes, _op_labels(dots, points, theme, ops), obstacles, size, theme)


def draw_roofline(
    section: Section, dots: list[Dot], theme: Theme, *, narrow: bool, title: str = ""
) -> tuple[Figure, list[str]]:
    """The figure and its tooltips. `narrow` stacks the panels for a phone. With `title`, a heading is drawn (PNG)."""
    ops = [op for op in section.ops if any(dot.op == op for dot in dots)]
    with_products = [dot for dot in dots if dot.flops]
    without = [dot for dot in dots if not dot.flops]
    titles: list[str] = []
    head = 78 if title else 22
    size = 11.0 if narrow else 12.0
    if narrow:
        width = 366.0
        figure = canvas(width, head + 400 + (262 if without else 0), theme)
        main = (40.0, float(head), width - 46, 350.0)
        side = (40.0, head + 424.0, width - 46, 180.0)
    else:
        width, height = 1080.0, 460.0
        figure = canvas(width, head + height, theme)
        main = (52.0, float(head), (width - 320 if with_products and without else width - 64), height - 52)
        side = (width - 212, float(head), 200.0, height - 52)
    if with_products:
        _main_panel(add_axes(figure, *main), section, with_products, theme, ops, size, titles)
    if without:
        _bytes_panel(add_axes(figure, *(side if with_products else main)), section, without, theme, ops, size, titles)
    if title:
        heading(figure, theme, title, roofline_caption(dots))
    return figure, titles


def roofline_caption(dots: list[Dot]) -> str:
    good = [dot for dot in dots if not dot.above_roof]
    count = "1 workload" if len(good) == 1 else f"{len(good)} workloads"
    words = f"{count}, the fastest implementation of each. Arrow: default config → tuned. Larger dot: longer context."
    if good:
        words += f" Median {format_percent(median(dot.fraction for dot in good))} of the roof."
    return words


def heading(figure: Figure, theme: Theme, title: str, subtitle: str) -> None:
    """The heading of a PNG, which stands alone."""
    height = figure.get_size_inches()[1] * 72
    width = figure.get_size_inches()[0] * 72
    figure.text(18 / width, 1 - 24 / height, title, fontsize=16, fontweight="bold", color=theme.fg, va="center")
    figure.text(18 / width, 1 - 44 / height, subtitle, fontsize=11, color=theme.muted, va="center")
