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

FIGURES, ROWS = 2, 4
"""of a sheet, and of each table in it, that are looked at: axe's time goes into the contrast of each text, and they are alike"""


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


def faults(browser: Chromium, *, rules: tuple[str, ...] = ()) -> list[str]:
    """Rule, impact, number and first element of each fault of the sheet shown; of all rules, or of some."""
    # Sheets that are hidden are looked at when they are shown.
    browser.evaluate(
        f"""document.querySelectorAll('.sheet[hidden]').forEach(sheet => sheet.replaceChildren(sheet.querySelector('h2')));
        const drawn = [...document.querySelectorAll('figure svg')].filter(svg => svg.checkVisibility());
        drawn.slice({FIGURES}).forEach(svg => svg.remove());
        document.querySelectorAll('tbody').forEach(body => [...body.rows].slice({ROWS}).forEach(row => row.remove()))"""
    )
    path = _axe()
    assert path is not None
    browser.evaluate(path.read_text(encoding="utf-8"))
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    words = "`${each.id}, ${each.impact}, ${each.nodes.length}: ${each.nodes[0].html.slice(0, 200)} ${each.nodes[0].failureSummary}`"
    run = f"axe.run(document, {json.dumps(options)})"
    return browser.evaluate(f"{run}.then(found => found.violations.map(each => {words}))")


@pytest.mark.parametrize(
    ("name", "sheet"),
    [
        ("full", ""),
        ("full", "d1-sparse_mla_decode"),
        ("full", "d1-trials"),
        ("full", "d1-provenance"),
        ("compared", ""),
        ("gpu_report", "d1-gpu"),
        ("inspected", ""),
    ],
)
def test_axe_finds_no_fault(browser: Chromium, request: pytest.FixtureRequest, name: str, sheet: str) -> None:
    report: Report = request.getfixturevalue(name)
    go(browser, report, sheet)
    assert faults(browser) == []
    # nothing but the colours differs in the dark
    go(browser, report, sheet, dark=True)
    assert faults(browser, rules=("color-contrast",)) == []


def test_axe_finds_a_fault_where_there_is_one(browser: Chromium, inspected: Report) -> None:
    go(browser, inspected)
    browser.evaluate("document.querySelector('h2').style.color = '#ccc'")
    assert [fault.split(",")[0] for fault in faults(browser, rules=("color-contrast",))] == ["color-contrast"]


def test_nothing_faulty_on_a_phone(browser: Chromium, full: Report) -> None:
    go(browser, full, "d1-topk_select", width=390)
    assert faults(browser) == []
