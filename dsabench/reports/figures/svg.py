"""A matplotlib figure as SVG to stand inside a page: no ids that clash, no fixed size, colours from the page's variables."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable

from markupsafe import Markup
from matplotlib.figure import Figure

from dsabench.reports.figures.theme import PLACEHOLDERS

TITLED = "titled-"
"""prefix of the gid of artists that get a tooltip: `titled-3` shows titles[3]"""

_TAG = re.compile(r"<[^>]*>")
_DECIMALS = re.compile(r"(-?\d+\.\d)\d+")
_FONT_FAMILY = re.compile(r"; font-family: [^;\"]*|font-family: [^;\"]*; ?")
_FONT = re.compile(r"font: (?:(\d+) )?([\d.]+px) [^;\"]*")
_NULL_ROTATION = re.compile(r' transform="rotate\(-0 [^"]*"')


def _thin(match: re.Match[str]) -> str:
    """One decimal of a pixel is enough; only inside tags, never in text."""
    return _DECIMALS.sub(r"\1", match[0])


def inline_svg(figure: Figure, prefix: str, label: str, titles: list[str], css_class: str = "") -> Markup:
    """`prefix` makes ids unique on the page; `label` is the accessible name; `titles` are the tooltips of artists whose
    gid is `titled-<index>`. Every string from a journal is escaped here or by matplotlib."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    opening = text[: text.index(">") + 1]
    box = re.search(r'viewBox="([^"]*)"', opening)
    assert box is not None, "matplotlib always writes a viewBox"
    body = text[len(opening) : text.rindex("</svg>")]
    # The style sheet in it would hold for the whole page; report.css carries the same rule for figures only.
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, flags=re.DOTALL)
    body = _TAG.sub(_thin, body)
    body = _NULL_ROTATION.sub("", body)
    body = _FONT.sub(lambda m: f"font-size: {m[2]}" + (f"; font-weight: {m[1]}" if m[1] else ""), body)
    body = _FONT_FAMILY.sub("", body)
    body = body.replace("xlink:href", "href")
    for colour, name in PLACEHOLDERS.items():
        body = body.replace(colour, f"var(--{name})")

    used = set(re.findall(r'href="#([^"]+)"', body)) | set(re.findall(r"url\(#([^)]+)\)", body))

    def renamed(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith(TITLED):
            return f'<g class="t"><title>{html.escape(titles[int(name.removeprefix(TITLED))])}</title>'
        if name in used:
            return match[0].replace(f'id="{name}"', f'id="{prefix}-{name}"')
        return match[0].replace(f' id="{name}"', "")

    body = re.sub(r'<\w+[^>]*? id="([^"]+)"[^>]*>', renamed, body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", body)
    body = re.sub(r"\s*\n\s*", " ", body)
    name = html.escape(label)
    return Markup(f'<svg class="{css_class}" viewBox="{box[1]}" role="img" aria-label="{name}">{body}</svg>')


def renditions(draw: Callable[[bool], tuple[Figure, list[str]]], anchor: str, label: str) -> list[Markup]:
    """A wide rendition and one for phones; the style sheet shows one of them. `draw(narrow)` gives a figure and its tooltips."""
    out = []
    for narrow in (False, True):
        figure, titles = draw(narrow)
        kind = "narrow" if narrow else "wide"
        out.append(inline_svg(figure, f"{anchor}-{kind}", label, titles, kind))
    return out
