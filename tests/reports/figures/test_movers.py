"""The figure of movers: what it keeps, in which order, on which axis, and that long names stay in their place."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import matplotlib
import pytest
from matplotlib.backends.backend_agg import RendererAgg

from dsabench.reports.figures.fitted import fitted, text_width
from dsabench.reports.figures.movers import MOST_MOVERS, Mover, draw_movers, select_movers
from dsabench.reports.figures.svg import renditions
from dsabench.reports.figures.theme import LIGHT, PAGE, RC

MOVER = Mover("topk_select/triton", "s_kv=64k", 2e-6, 1.8e-6, 2.2e-6, 1e-6, "slower")


def moved(change_s: float, **changed: object) -> Mover:
    return replace(MOVER, change_s=change_s, low_s=None, high_s=None, **changed)


@pytest.fixture(autouse=True)
def _rc() -> object:
    with matplotlib.rc_context(RC):
        yield


def test_largest_first_whichever_way() -> None:
    kept, left = select_movers([moved(1e-6), moved(-3e-6, tone="faster"), moved(2e-6)], most=2)
    assert [m.change_s for m in kept] == [2e-6, 1e-6], "what is slower is left out last"
    assert left == 1
    kept, left = select_movers([moved(1e-6), moved(-3e-6, tone="faster"), moved(2e-6)])
    assert [m.change_s for m in kept] == [-3e-6, 2e-6, 1e-6]
    assert left == 0


def ticks(movers: list[Mover]) -> tuple[str, list[str]]:
    axes = draw_movers(movers, LIGHT, narrow=False)[0].axes[0]
    return axes.get_xscale(), [label.get_text() for label in axes.get_xticklabels()]


def test_axis_is_linear_in_a_unit_people_use() -> None:
    scale, words = ticks([moved(20e-6), moved(-15e-6), moved(5e-6)])
    assert scale == "linear"
    assert "0" in words
    assert "+10 µs" in words
    assert "−10 µs" in words


def test_axis_is_logarithmic_where_one_change_dwarfs_the_rest() -> None:
    scale, words = ticks([moved(2e-3), *(moved(s * 1e-6) for s in (9, 8, -7, 6, 5))])
    assert scale == "symlog"
    assert words == ["0", "+10 µs", "+100 µs", "+1 ms"]


def test_noise_is_not_drawn_out() -> None:
    scale, _ = ticks([moved(20e-6), *(moved(s * 1e-9, noise_s=2e-6) for s in (9, 8, -7, 6, 5))])
    assert scale == "linear"


def test_changes_of_nothing_have_an_axis() -> None:
    assert ticks([moved(0.0, noise_s=None, tone="flat")])[0] == "linear"


def test_many_are_cut_and_counted() -> None:
    figure, titles = draw_movers([moved(i * 1e-6) for i in range(MOST_MOVERS + 3)], LIGHT, narrow=False)
    assert len(titles) == MOST_MOVERS
    assert "3 more are not shown" in [text.get_text() for text in figure.texts]


def test_tooltip_says_it_all() -> None:
    _, titles = draw_movers([MOVER], LIGHT, narrow=False)
    assert titles == [
        "topk_select/triton s_kv=64k: +2.00 µs (+1.80 µs to +2.20 µs), slower; noise ±1.00 µs",
    ]


@pytest.mark.parametrize("narrow", [False, True])
def test_words_stay_in_the_figure_and_off_the_plot(narrow: bool) -> None:
    long = replace(MOVER, label="op/" + "name_" * 400, detail="axis=1 " * 400)
    odd = replace(MOVER, label="line\nbreak \x00 \u202e", detail="")
    figure, _ = draw_movers([long, odd, MOVER], LIGHT, narrow=narrow, title="t" * 500, subtitle="s " * 500)
    renderer = RendererAgg(1, 1, 72)
    width = figure.get_size_inches()[0] * 72
    plot = figure.axes[0].get_window_extent(renderer)
    for text in figure.texts:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.x1 <= width
        if not narrow and plot.y0 < box.y0 < plot.y1:
            assert box.x1 <= plot.x0 or box.x0 >= plot.x1
        assert "\n" not in text.get_text()


def test_svg_for_the_page_takes_hostile_names() -> None:
    hostile = [replace(MOVER, label="<script>&amp;", detail='"\x01]]>'), replace(MOVER, change_s=-1e-6, tone="faster")]
    for svg in renditions(lambda narrow: draw_movers(hostile, PAGE, narrow=narrow), "movers", "Movers"):
        root = ElementTree.fromstring(str(svg))
        assert not [element for element in root.iter() if element.tag == "script"]
        assert "var(--warn)" in svg


def test_fitted_text() -> None:
    assert fitted("short", 100, 10) == "short"
    cut = fitted("a name that is far too long for its place", 100, 10)
    assert cut.endswith("…")
    assert 80 < text_width(cut, 10) <= 100
    assert fitted("x", 1, 10) == ""
    assert text_width(fitted("w" * 1_000_000, 200, 10), 10) <= 200
