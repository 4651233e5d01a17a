"""The page in a real browser: from file://, without scripts, at a phone's and a desk's width, light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reports.chromium import NAMES, Chromium, find_chromium
from tests.reports.conftest import Report

pytestmark = pytest.mark.skipif(find_chromium() is None, reason=f"no Chromium on the PATH ({', '.join(NAMES)})")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    binary = find_chromium()
    assert binary is not None
    with Chromium(binary, tmp_path_factory.mktemp("profile")) as chromium:
        yield chromium


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_page_loads_clean_and_does_not_overflow(browser: Chromium, full: Report, width: int, dark: bool) -> None:
    url = full.built.html.as_uri()
    browser.open(url, width, dark=dark)
    assert browser.requests == [url]
    assert browser.problems == []
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    background = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    lightness = sum(int(part) for part in background[4:-1].split(",")) / 3
    assert (lightness < 60) if dark else (lightness > 200)


def test_one_rendition_of_each_figure_is_shown(browser: Chromium, full: Report) -> None:
    shown = "[...document.querySelectorAll('svg.{}')].filter(s => s.getBoundingClientRect().width > 0).length"
    browser.open(full.built.html.as_uri(), 390)
    assert (browser.evaluate(shown.format("wide")), browser.evaluate(shown.format("narrow"))) == (0, 2)
    browser.open(full.built.html.as_uri(), 1280)
    assert (browser.evaluate(shown.format("wide")), browser.evaluate(shown.format("narrow"))) == (2, 0)


def test_figures_use_the_colours_of_the_scheme(browser: Chromium, full: Report) -> None:
    colour = "getComputedStyle(document.querySelector('svg text')).fill"
    browser.open(full.built.html.as_uri(), 1280)
    light = browser.evaluate(colour)
    browser.open(full.built.html.as_uri(), 1280, dark=True)
    assert browser.evaluate(colour) != light


def test_text_of_figures_is_large_enough_on_a_phone(browser: Chromium, full: Report) -> None:
    browser.open(full.built.html.as_uri(), 390)
    smallest = """Math.min(...[...document.querySelectorAll('figure svg')].filter(s => s.getBoundingClientRect().width > 0)
        .flatMap(s => [...s.querySelectorAll('text')].map(t =>
            parseFloat(getComputedStyle(t).fontSize) * s.getBoundingClientRect().width / s.viewBox.baseVal.width)))"""
    assert browser.evaluate(smallest) >= 8


def test_everything_is_there_without_scripts(browser: Chromium, full: Report, tmp_path: Path) -> None:
    url = full.built.html.as_uri()
    browser.open(url, 1280, scripts=False)
    assert browser.problems == []
    shot = tmp_path / "page.png"
    browser.screenshot(shot)
    assert shot.stat().st_size > 20_000


def test_keyboard_reaches_links_tables_and_details(browser: Chromium, full: Report) -> None:
    browser.open(full.built.html.as_uri(), 390)
    reachable = (
        "[...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')].filter(e => e.tabIndex === 0).length"
    )
    wanted = "document.querySelectorAll('.scroll').length + document.querySelectorAll('summary').length"
    assert browser.evaluate(reachable) > browser.evaluate(wanted)
    overflowing = """[...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1
        && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.tabIndex !== 0).length"""
    assert browser.evaluate(overflowing) == 0


@pytest.mark.parametrize("width", [360, 390, 1280, 2560])
@pytest.mark.parametrize("name", ["compared", "gpu_report"])
def test_comparisons_load_clean_at_every_width(
    browser: Chromium, request: pytest.FixtureRequest, name: str, width: int
) -> None:
    report: Report = request.getfixturevalue(name)
    browser.open(report.built.html.as_uri(), width, dark=width == 1280)
    assert browser.requests == [report.built.html.as_uri()]
    assert browser.problems == []
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    shown = "[...document.querySelectorAll('svg.{}')].filter(s => s.getBoundingClientRect().width > 0).length"
    total = len([svg for svg in report.page.root.all("svg") if svg.attributes.get("class") == "wide"])
    wide, narrow = browser.evaluate(shown.format("wide")), browser.evaluate(shown.format("narrow"))
    assert (wide, narrow) == ((0, total) if width < 760 else (total, 0))
    assert total >= 4


def test_text_of_comparisons_is_large_enough_and_inside_its_figure(browser: Chromium, compared: Report) -> None:
    for width in (390, 1280):
        browser.open(compared.built.html.as_uri(), width)
        figures = "[...document.querySelectorAll('figure svg')].filter(s => s.getBoundingClientRect().width > 0)"
        smallest = f"""Math.min(...{figures}.flatMap(s => [...s.querySelectorAll('text')].map(t =>
            parseFloat(getComputedStyle(t).fontSize) * s.getBoundingClientRect().width / s.viewBox.baseVal.width)))"""
        assert browser.evaluate(smallest) >= 8
        # a pixel and a half for the halo around the letters
        cut = f"""{figures}.flatMap(s => {{ const f = s.getBoundingClientRect(); return [...s.querySelectorAll('text')].filter(t => {{
            const b = t.getBoundingClientRect();
            return b.left < f.left - 1.5 || b.right > f.right + 1.5 || b.top < f.top - 1.5 || b.bottom > f.bottom + 1.5;
            }}).map(t => t.textContent) }}).join(' | ')"""
        assert browser.evaluate(cut) == ""


def test_labels_of_comparisons_do_not_overlap(browser: Chromium, compared: Report) -> None:
    for width in (390, 1280):
        browser.open(compared.built.html.as_uri(), width)
        touching = """[...document.querySelectorAll('figure svg')].filter(s => s.getBoundingClientRect().width > 0).flatMap(s => {
            const boxes = [...s.querySelectorAll('text')].map(t => [t.getBoundingClientRect(), t.textContent]);
            return boxes.flatMap(([a, x], i) => boxes.slice(i + 1).filter(([b]) =>
                Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
                Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4).map(([, y]) => x + ' / ' + y)) }).join(' | ')"""
        assert browser.evaluate(touching) == ""
