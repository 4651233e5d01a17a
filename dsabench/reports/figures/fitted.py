"""Text that fits its place: what a journal's names need where a figure has given widths."""

from __future__ import annotations

from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """In pixels, on one line."""
    artist = Text(0, 0, text, fontsize=size, fontweight="bold" if bold else "normal", parse_math=False)
    artist.set_figure(Figure(dpi=72))
    return float(artist.get_window_extent(RendererAgg(1, 1, 72)).width)


def visible(text: str) -> str:
    """Characters that cannot be seen (line breaks, control and direction marks) become spaces."""
    return "".join(c if c.isprintable() else " " for c in text)


def fitted(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """One `visible` line of `text`, at most `width` pixels wide, with … for what does not fit; empty where not even that does."""
    # No glyph of a figure's sizes is narrower than a pixel: what is longer cannot fit, and megabytes need not be measured.
    longest = max(0, int(width))
    text = visible(text[: longest + 1])
    if len(text) <= longest and text_width(text, size, bold=bold) <= width:
        return text
    fits, fails = 0, len(text)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if text_width(text[:middle].rstrip() + "…", size, bold=bold) <= width:
            fits = middle
        else:
            fails = middle
    return text[:fits].rstrip() + "…" if fits else ""
