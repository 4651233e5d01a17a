"""axe-core finds no fault in the reports. It comes with the package axe-playwright-python, of which nothing else is used: the
script is put into the page over the debugging pipe, which no content policy stops."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from dsabench.bench.inspection_file import write_inspections
from dsabench.reports.build import build
from tests.reports.chromium import Chromium
from tests.reports.conftest import Report, go, needs_chromium
from tests.reports.pages import Page
from tests.reports.test_inspection import grid_2x2x2

FIGURES, ROWS = 1, 4
"""of a sheet, and of each table in it, that are looked at: axe's time goes into the contrast of each text, and they are alike"""
CONTRAST = ("color-contrast",)


def _axe() -> Path | None:
    spec = importlib.util.find_spec("axe_playwright_python")
    return Path(spec.origin).parent / "axe.min.js" if spec and spec.origin else None


pytestmark = [
    needs_chromium,
    pytest.mark.skipif(
        _axe() is None, reason="axe-core is not installed (pip install --no-deps axe-playwright-python)"
    ),
]


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Report:
    directory = tmp_path_factory.mktemp("inspected")
    found = grid_2x2x2()
    write_inspections(directory, found.header, found.configs)
    built = build([directory], directory / "out")
    return Report(built, Page(built.html))


def prepare(browser: Chromium) -> None:
    """Puts axe into the page and takes out what it need not look at: sheets that are hidden, and more of what is alike."""
    browser.evaluate(
        f"""document.querySelectorAll('.sheet[hidden]').forEach(sheet => sheet.replaceChildren(sheet.querySelector('h2')));
        const seen = [...document.querySelectorAll('figure svg')].filter(svg => svg.checkVisibility()).slice(0, {FIGURES});
        document.querySelectorAll('figure svg').forEach(svg => seen.includes(svg) || svg.remove());
        document.querySelectorAll('table').forEach(table =>
            [...table.querySelectorAll('tbody tr:not(.op)')].slice({ROWS}).forEach(row => row.remove()))"""
    )
    path = _axe()
    assert path is not None
    browser.evaluate(path.read_text(encoding="utf-8"))


def faults(browser: Chromium, rules: tuple[str, ...] = ()) -> list[str]:
    """Rule, impact, number and first element of each fault of the sheet shown; of all rules, or of some."""
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    words = "`${each.id}, ${each.impact}, ${each.nodes.length}: ${each.nodes[0].html.slice(0, 200)} ${each.nodes[0].failureSummary}`"
    run = f"axe.run(document, {json.dumps(options)})"
    return browser.evaluate(f"{run}.then(found => found.violations.map(each => {words}))")


@pytest.mark.parametrize(
    ("name", "sheet", "width"),
    [
        ("full", "", 1280),
        ("full", "d1-sparse_mla_decode", 1280),
        ("full", "d1-sparse_mla_decode", 390),
        ("full", "d1-trials", 1280),
        ("full", "d1-provenance", 1280),
        ("compared", "", 1280),
        ("gpu_report", "d1-gpu", 1280),
        ("inspected", "", 1280),
    ],
)
def test_axe_finds_no_fault(
    browser: Chromium, request: pytest.FixtureRequest, name: str, sheet: str, width: int
) -> None:
    go(browser, request.getfixturevalue(name), sheet, width)
    prepare(browser)
    assert faults(browser) == []
    # nothing but the colours differs in the dark
    browser.emulate(dark=True)
    assert faults(browser, CONTRAST) == []


def test_axe_finds_a_fault_where_there_is_one(browser: Chromium, inspected: Report) -> None:
    go(browser, inspected)
    prepare(browser)
    browser.evaluate("document.querySelector('h2').style.color = '#ccc'")
    assert [fault.split(",")[0] for fault in faults(browser, CONTRAST)] == ["color-contrast"]
