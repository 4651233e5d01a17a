"""Panels beside each other under one heading: the PNG of a picture that the page shows panel by panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from matplotlib.figure import Figure

from dsabench.reports.figures.roofline import heading
from dsabench.reports.figures.theme import Theme, canvas

_HEAD = 78.0


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Panel = TypeVar("_Panel", bound=_Named)


def panel_row(
    panels: Sequence[_Panel],
    width: float,
    height: float,
    theme: Theme,
    title: str,
    subtitle: str,
    draw: Callable[[Figure, _Panel, float], None],
) -> Figure:
    """`draw(figure, panel, left)` draws one panel of `width` × `height` pixels, `left` pixels from the left, under its name."""
    figure = canvas(max(900.0, len(panels) * width), _HEAD + height, theme)
    total_w, total_h = figure.get_size_inches() * 72
    for index, panel in enumerate(panels):
        left = index * width
        at = ((left + 20) / total_w, 1 - 88 / total_h)
        figure.text(*at, panel.name, fontsize=12, fontweight="bold", color=theme.fg, va="center")
        draw(figure, panel, left)
    heading(figure, theme, title, subtitle)
    return figure
