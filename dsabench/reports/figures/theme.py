"""Colours and canvases. A figure is drawn in pixels (72 per inch), so that the SVG's numbers are CSS pixels.

For the page the colours are placeholders that `svg.py` turns into CSS variables: one drawing serves light and dark. For PNG
they are the light theme's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# rcParams of every figure. `parse_math` off: a `$` in a journal's string is a dollar sign, not a formula.
RC: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "dsabench",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "axes.unicode_minus": True,
    "path.simplify": True,
}

SERIES = 8


@dataclass(frozen=True)
class Theme:
    """Names as in report.css: --fg, --muted, --grid, --card, --warn, --s1 … --s8, --base."""

    fg: str
    muted: str
    grid: str
    card: str
    warn: str
    base: str
    series: tuple[str, ...]

    def impl(self, name: str, all_names: list[str]) -> str:
        """`torch`, the baseline, is neutral; the others take the series' colours in order."""
        if name == "torch":
            return self.base
        others = [other for other in all_names if other != "torch"]
        return self.series[others.index(name) % len(self.series)]


LIGHT = Theme(
    fg="#1b1f24",
    muted="#57606a",
    grid="#e3e6ea",
    card="#ffffff",
    warn="#c62828",
    base="#6a737d",
    series=("#0b62c4", "#c2500a", "#177a36", "#7a42c8", "#b5287e", "#0b7680", "#8a6100", "#4a5560"),
)

# Placeholders: colours that nothing else uses, one a variable.
VARIABLES = ("fg", "muted", "grid", "card", "warn", "base", *(f"s{i + 1}" for i in range(SERIES)))
PLACEHOLDERS = {f"#fe01{index:02x}": name for index, name in enumerate(VARIABLES)}
_by_name = {name: colour for colour, name in PLACEHOLDERS.items()}
PAGE = Theme(
    fg=_by_name["fg"],
    muted=_by_name["muted"],
    grid=_by_name["grid"],
    card=_by_name["card"],
    warn=_by_name["warn"],
    base=_by_name["base"],
    series=tuple(_by_name[f"s{i + 1}"] for i in range(SERIES)),
)


def canvas(width: float, height: float, theme: Theme) -> Figure:
    """A figure of `width` × `height` pixels with a renderer attached, so that text can be measured while it is placed."""
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasAgg(figure)
    figure.patch.set_facecolor(theme.card)
    if theme is PAGE:
        figure.patch.set_visible(False)
    return figure


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a position in pixels from the top left."""
    total_w, total_h = figure.get_size_inches() * 72
    return figure.add_axes((left / total_w, 1 - (top + height) / total_h, width / total_w, height / total_h))


def plain(axes: Axes, theme: Theme) -> None:
    """No box, a light grid, small ticks."""
    axes.set_facecolor("none")
    axes.patch.set_visible(False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(theme.muted)
    axes.tick_params(colors=theme.muted, labelsize=10, length=0, pad=4)
    axes.grid(True, color=theme.grid, linewidth=1)
    axes.set_axisbelow(True)


def save_png(figure: Figure, path: str, scale: float = 2.0) -> None:
    figure.savefig(path, dpi=72 * scale, format="png", metadata={"Software": None}, pil_kwargs={"compress_level": 4})
