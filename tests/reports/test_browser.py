"""The page in a real browser: from file://, with scripts and without, from a phone's width to a wall's, light and dark."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from dsabench.bench.records import Status
from dsabench.reports import quantities
from dsabench.reports.build import build
from tests.reports.chromium import Chromium
from tests.reports.conftest import Report, go, needs_chromium
from tests.reports.journals import OPS, JournalBuilder, device, write_records
from tests.reports.pages import Page

pytestmark = needs_chromium

WIDTHS = [360, 390, 768, 1280, 2560]
ENTER = ("Enter", 13, "\r")

VISIBLE_FIGURES = "[...document.querySelectorAll('figure svg')].filter(s => s.checkVisibility())"


def shown(browser: Chromium) -> list[str]:
    return browser.evaluate("[...document.querySelectorAll('main > .sheet')].filter(s => !s.hidden).map(s => s.id)")


def table(label: str) -> str:
    return f"document.querySelector('[aria-label=\"{label}\"] table')"


def column(browser: Chromium, label: str, at: int) -> list[str]:
    """Texts of the rows shown, first lines only; cells that span columns count as nothing there."""
    return browser.evaluate(
        f"""[...{table(label)}.querySelectorAll('tbody tr')].filter(r => r.checkVisibility() && !r.classList.contains('op'))
        .map(r => [...r.cells].filter(c => !c.classList.contains('group'))[{at}]).filter(c => c && c.colSpan === 1)
        .map(c => c.innerText.split('\\n')[0].trim())"""
    )


def values(browser: Chromium, label: str, at: int) -> list[float]:
    return browser.evaluate(
        f"""[...{table(label)}.querySelectorAll('tbody tr')].filter(r => r.checkVisibility() && !r.classList.contains('op'))
        .map(r => [...r.cells].filter(c => !c.classList.contains('group'))[{at}]?.dataset.value).filter(v => v).map(Number)"""
    )


def sort(browser: Chromium, label: str, head: str) -> str:
    """Presses a head, and says what the head then says of itself."""
    return browser.evaluate(
        f"""(() => {{ const th = [...{table(label)}.tHead.rows[0].cells].find(c => c.textContent.trim() === "{head}");
        th.querySelector('button').click(); return th.getAttribute('aria-sort') }})()"""
    )


def tools(label: str) -> str:
    return f"document.querySelector('[aria-label=\"Controls: {label}\"]')"


def choose(browser: Chromium, label: str, name: str, value: str) -> None:
    browser.evaluate(
        f"""(() => {{ const list = [...{tools(label)}.querySelectorAll('label')].find(l => l.textContent.startsWith("{name}"))
        .querySelector('select'); list.value = "{value}"; list.dispatchEvent(new Event('change')) }})()"""
    )


def search_for(browser: Chromium, label: str, words: str) -> str:
    """Types into a table's filter; returns the count beside it."""
    return browser.evaluate(
        f"""(() => {{ const box = {tools(label)}.querySelector('input'); box.value = {json.dumps(words)};
        box.dispatchEvent(new Event('input')); return {tools(label)}.querySelector('.count').textContent }})()"""
    )


def saved(browser: Chromium, label: str, kind: str) -> tuple[str, str]:
    """Name and text of the file that a button would save."""
    name, text = browser.evaluate(
        f"""(async () => {{ let link, blob; const make = URL.createObjectURL, click = HTMLAnchorElement.prototype.click;
        URL.createObjectURL = (b) => {{ blob = b; return 'data:,' }};
        HTMLAnchorElement.prototype.click = function () {{ link = this }};
        [...{tools(label)}.querySelectorAll('button')].find(b => b.textContent === "{kind}").click();
        URL.createObjectURL = make; HTMLAnchorElement.prototype.click = click;
        return [link.download, await blob.text()] }})()"""
    )
    return name, text


class TestLayout:
    def test_no_sheet_overflows_and_nothing_is_complained_of(self, browser: Chromium, full: Report) -> None:
        go(browser, full)
        for sheet in ("d1", "d1-sparse_mla_decode", "d1-trials", "d1-provenance", "reading"):
            browser.evaluate(f"document.querySelector('nav.pages a[href=\"#{sheet}\"]').click()")
            assert shown(browser) == [sheet]
            for width in WIDTHS:
                browser.resize(width)
                assert browser.evaluate("document.documentElement.scrollWidth") == width, sheet
        assert browser.problems == []

    @pytest.mark.parametrize("name", ["compared", "gpu_report"])
    def test_comparisons_load_clean(self, browser: Chromium, request: pytest.FixtureRequest, name: str) -> None:
        report: Report = request.getfixturevalue(name)
        go(browser, report, dark=True)
        drawn = [e.attributes.get("class") for e in report.page.root.all("svg")]
        assert drawn.count("wide") >= 4
        count = "[...document.querySelectorAll('svg.{}')].filter(s => getComputedStyle(s).display !== 'none').length"
        for width in WIDTHS:
            browser.resize(width)
            assert browser.evaluate("document.documentElement.scrollWidth") == width
            wide, narrow = browser.evaluate(count.format("wide")), browser.evaluate(count.format("narrow"))
            assert (wide, narrow) == ((0, drawn.count("narrow")) if width < 760 else (drawn.count("wide"), 0))
        assert browser.problems == []

    def test_text_of_figures_is_large_enough_on_a_phone(self, browser: Chromium, full: Report) -> None:
        go(browser, full, width=390)
        for sheet in ("d1", "d1-topk_select"):
            browser.evaluate(f"location.hash = '{sheet}'")
            smallest = f"""Math.min(...{VISIBLE_FIGURES}.flatMap(s => [...s.querySelectorAll('text')].map(t =>
                parseFloat(getComputedStyle(t).fontSize) * s.getBoundingClientRect().width / s.viewBox.baseVal.width)))"""
            assert browser.evaluate(smallest) >= 8

    @pytest.mark.parametrize("width", [390, 1280])
    def test_text_of_comparisons_is_readable(self, browser: Chromium, compared: Report, width: int) -> None:
        """Large enough, inside its figure, and not over other text."""
        go(browser, compared, width=width)
        smallest = f"""Math.min(...{VISIBLE_FIGURES}.flatMap(s => [...s.querySelectorAll('text')].map(t =>
            parseFloat(getComputedStyle(t).fontSize) * s.getBoundingClientRect().width / s.viewBox.baseVal.width)))"""
        assert browser.evaluate(smallest) >= 8
        # a pixel and a half for the halo around the letters
        cut = f"""{VISIBLE_FIGURES}.flatMap(s => {{ const f = s.getBoundingClientRect();
            return [...s.querySelectorAll('text')].filter(t => {{
            const b = t.getBoundingClientRect();
            return b.left < f.left - 1.5 || b.right > f.right + 1.5 || b.top < f.top - 1.5 || b.bottom > f.bottom + 1.5;
            }}).map(t => t.textContent) }}).join(' | ')"""
        assert browser.evaluate(cut) == ""
        touching = f"""{VISIBLE_FIGURES}.flatMap(s => {{
            const boxes = [...s.querySelectorAll('text')].map(t => [t.getBoundingClientRect(), t.textContent]);
            return boxes.flatMap(([a, x], i) => boxes.slice(i + 1).filter(([b]) =>
                Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
                Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 4).map(([, y]) => x + ' / ' + y)) }}).join(' | ')"""
        assert browser.evaluate(touching) == ""

    def test_colours_follow_the_system_and_a_button(self, browser: Chromium, full: Report) -> None:
        look = """(() => { const lightness = getComputedStyle(document.body).backgroundColor.match(/[\\d.]+/g).slice(0, 3)
            .reduce((a, b) => a + Number(b), 0) / 3;
            return [lightness < 60 ? 'dark' : lightness > 200 ? 'light' : '',
            getComputedStyle(document.querySelector('svg text')).fill] })()"""
        button = "[...document.querySelectorAll('.view button')].find(b => b.textContent === 'dark')"
        seen: dict[bool, list[str]] = {}
        for dark in (False, True):
            go(browser, full, dark=dark)
            seen[dark] = browser.evaluate(look)
            assert browser.evaluate(f"{button}.ariaPressed") == str(dark).lower()
            browser.evaluate(f"{button}.click()")
            assert browser.evaluate(f"{button}.ariaPressed") == str(not dark).lower()
            assert browser.evaluate(look)[0] == ("light" if dark else "dark")
        assert (seen[False][0], seen[True][0]) == ("light", "dark")
        assert seen[False][1] != seen[True][1]


class TestSheets:
    def test_links_open_them_and_the_way_back_leads_back(self, browser: Chromium, full: Report) -> None:
        go(browser, full)
        assert shown(browser) == ["d1"]
        browser.evaluate("scrollTo(0, 700)")
        follow = "document.querySelector('nav.pages a[href=\"#d1-{}\"]').click()"
        browser.evaluate(follow.format("topk_select"))
        assert shown(browser) == ["d1-topk_select"]
        assert browser.evaluate("document.activeElement.textContent").startswith("topk_select")
        current = "[...document.querySelectorAll('nav.pages [aria-current]')].map(a => a.textContent)"
        assert browser.evaluate(current) == ["topk_select"]
        browser.evaluate(follow.format("trials"))
        back = """new Promise(done => { addEventListener('popstate', () => setTimeout(done), { once: true }); history.back() })"""
        browser.evaluate(back)
        assert shown(browser) == ["d1-topk_select"]
        browser.evaluate(back)
        assert shown(browser) == ["d1"]
        assert browser.evaluate("scrollY") == 700

    def test_an_address_opens_the_sheet_that_holds_it(self, browser: Chromium, full: Report) -> None:
        go(browser, full, "d1-topk_select-correctness")
        assert shown(browser) == ["d1-topk_select"]
        top, covered = browser.evaluate(
            """[document.getElementById('d1-topk_select-correctness').getBoundingClientRect().top,
            document.querySelector('nav.pages').getBoundingClientRect().bottom]"""
        )
        assert covered - 1 <= top < 300

    @pytest.mark.parametrize("fragment", ["nowhere", "%E0%A4%A", "content"])
    def test_an_address_that_names_none_opens_the_first(self, browser: Chromium, full: Report, fragment: str) -> None:
        go(browser, full, fragment)
        assert shown(browser) == ["d1"]
        assert browser.problems == []

    def test_hidden_ones_can_be_searched_shown_and_printed(self, browser: Chromium, full: Report) -> None:
        go(browser, full)
        assert browser.evaluate("document.getElementById('d1-topk_select').getAttribute('hidden')") == "until-found"
        browser.evaluate("document.getElementById('d1-topk_select').dispatchEvent(new Event('beforematch'))")
        assert shown(browser) == ["d1-topk_select"]
        invisible = "[...document.querySelectorAll('.sheet h2')].filter(h => !h.checkVisibility()).length"
        assert browser.evaluate(invisible) == len(OPS) + 3
        browser.emulate(media="print")
        assert browser.evaluate(invisible) == 0
        browser.emulate()
        browser.evaluate("document.querySelector('.view button').click()")
        assert len(shown(browser)) == len(OPS) + 4

    def test_everything_is_there_without_scripts(self, browser: Chromium, full: Report, tmp_path: Path) -> None:
        go(browser, full, scripts=False)
        assert browser.problems == []
        assert len(shown(browser)) == len(OPS) + 4
        assert browser.evaluate("document.querySelectorAll('button, .tools').length") == 0
        assert browser.evaluate("document.querySelector('noscript a').checkVisibility()")
        assert browser.evaluate("document.querySelectorAll('details.command pre').length") > 2 * 7 * 3 * 2
        shot = tmp_path / "page.png"
        browser.screenshot(shot)
        assert shot.stat().st_size > 20_000


WINNERS = "Table of winners"


class TestTables:
    def test_winners_sort_by_number_in_both_directions_and_back(self, browser: Chromium, full: Report) -> None:
        go(browser, full)
        before = values(browser, WINNERS, 3)
        assert sort(browser, WINNERS, "time") == "ascending"
        rising = values(browser, WINNERS, 3)
        assert rising == sorted(before) != before
        # by the seconds and not by the text: 13.5 ms comes after 900 µs
        assert sorted(column(browser, WINNERS, 3)) != column(browser, WINNERS, 3)
        # dissolved groups: each row names its op, and those without a time come last
        assert (
            browser.evaluate(f"[...{table(WINNERS)}.querySelectorAll('tr.op')].some(r => r.checkVisibility())") is False
        )
        ops = browser.evaluate(
            f"[...{table(WINNERS)}.querySelectorAll('tbody td.group')].filter(c => c.checkVisibility()).map(c => c.textContent)"
        )
        assert set(ops) == set(OPS)
        assert ops[-6:] == ["sparse_mla_decode"] * 3 + ["dense_mha_prefill"] * 3
        assert sort(browser, WINNERS, "time") == "descending"
        assert values(browser, WINNERS, 3) == rising[::-1]
        assert sort(browser, WINNERS, "time") == "none"
        assert values(browser, WINNERS, 3) == before

    def test_winners_sort_by_text(self, browser: Chromium, full: Report) -> None:
        go(browser, full)
        assert sort(browser, WINNERS, "implementation") == "ascending"
        assert column(browser, WINNERS, 1) == ["cpu"] * 21 + ["torch"] * 21
        sort(browser, WINNERS, "implementation")
        assert column(browser, WINNERS, 1) == ["torch"] * 21 + ["cpu"] * 21

    def test_filters_narrow_and_say_so(self, browser: Chromium, full: Report) -> None:
        go(browser, full)
        assert search_for(browser, WINNERS, "TOPK cpu") == "3 of 42 rows"
        assert column(browser, WINNERS, 0) == ["4k", "16k", "64k"]
        assert browser.evaluate("document.querySelector('[role=status]').textContent") == "3 of 42 rows"
        # what a command happens to name is not looked at: each names torch, its rival
        assert search_for(browser, WINNERS, "topk_select torch") == "3 of 42 rows"
        assert search_for(browser, WINNERS, "no such words") == "0 of 42 rows"
        search_for(browser, WINNERS, "")
        choose(browser, WINNERS, "op", "sparse_mla_decode")
        choose(browser, WINNERS, "result", "no config passed")
        assert browser.evaluate(f"{tools(WINNERS)}.querySelector('.count').textContent") == "3 of 42 rows"
        assert browser.evaluate(
            f"[...{table(WINNERS)}.querySelectorAll('tr.op')].filter(r => r.checkVisibility()).map(r => r.dataset.name)"
        ) == ["sparse_mla_decode"]

    def test_a_gap_stays_with_its_row(self, browser: Chromium, compared: Report) -> None:
        go(browser, compared)
        label = "Sparse against dense: decode, 1 sequence, 1 token each"
        rows = f"[...{table(label)}.tBodies[0].rows].map(r => [r.classList.contains('hole'), r.cells[0].textContent.trim()])"
        before = browser.evaluate(rows)
        sort(browser, label, "context")
        sort(browser, label, "context")
        after = browser.evaluate(rows)
        assert [text for hole, text in after if not hole] == [text for hole, text in before if not hole][::-1]
        holes = [(text, after[at - 1]) for at, (hole, text) in enumerate(after) if hole]
        assert len(holes) == sum(hole for hole, _ in before) >= 2
        for text, (_, above) in holes:
            assert text.startswith(f"{above}: no ") or above.startswith(f"{text.split(':')[0]}: no ")

    def test_sorting_by_the_keyboard(self, browser: Chromium, full: Report) -> None:
        go(browser, full, "d1-topk_select")
        head = f"{table('Winners: topk_select')}.querySelectorAll('th button')[3]"
        browser.evaluate(f"{head}.focus()")
        assert browser.evaluate(
            f"getComputedStyle({head}).outlineStyle !== 'none' || !{head}.matches(':focus-visible')"
        )
        browser.press(*ENTER)
        assert browser.evaluate(f"{head}.parentElement.ariaSort") == "ascending"
        assert browser.evaluate("document.querySelector('[role=status]').textContent") == "sorted by time, ascending"
        times = values(browser, "Winners: topk_select", 3)
        assert times == sorted(times)

    def test_what_scrolls_sideways_is_reached_by_the_keyboard(self, browser: Chromium, full: Report) -> None:
        go(browser, full, "d1-topk_select", width=390)
        overflowing = """[...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1
            && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX) && e.tabIndex !== 0).map(e => e.className)"""
        assert browser.evaluate(overflowing) == []

    def test_the_first_stop_leads_past_the_links(self, browser: Chromium, full: Report) -> None:
        go(browser, full)
        browser.press("Tab", 9)
        assert browser.evaluate("document.activeElement.className") == "skip"
        assert browser.evaluate("document.activeElement.getBoundingClientRect().left") >= 0


class TestTrials:
    def test_rows_come_a_hundred_at_a_time(self, browser: Chromium, full: Report) -> None:
        go(browser, full, "d1-trials")
        drawn = f"{table('Trials')}.tBodies[0].rows.length"
        assert browser.evaluate(drawn) == 100
        browser.evaluate("document.querySelector('button.more').click()")
        assert browser.evaluate(drawn) == 200
        assert (
            browser.evaluate("document.querySelector('button.more').textContent")
            == f"show 100 more of {full.built.trials - 200}"
        )

    def test_cells_read_as_elsewhere_on_the_page(self, browser: Chromium, full: Report) -> None:
        go(browser, full, "d1-trials")
        search_for(browser, "Trials", "indexer_logits cpu")
        first = full.page.drawn("Trials")[0]
        cells = browser.evaluate(f"[...{table('Trials')}.tBodies[0].rows[0].cells].map(c => c.innerText)")
        assert cells[:4] == ["1", "indexer_logits", "cpu", "4k"]
        assert cells[5] == first["status"] == "PASSED"
        assert cells[6].split("\n") == [
            quantities.format_time(first["median_s"]),
            quantities.format_time_interval(quantities.Span(first["median_s"], first["low_s"], first["high_s"])),
        ]
        assert cells[7] == quantities.format_percent(first["roofline_fraction"])

    def test_sorting_and_choosing(self, browser: Chromium, full: Report) -> None:
        go(browser, full, "d1-trials")
        rows = full.page.drawn("Trials")
        sort(browser, "Trials", "time")
        fastest = sorted(row["median_s"] for row in rows if row["median_s"] is not None)
        assert column(browser, "Trials", 6)[:5] == [quantities.format_time(seconds) for seconds in fastest[:5]]
        sort(browser, "Trials", "time")
        assert column(browser, "Trials", 6)[:5] == [quantities.format_time(seconds) for seconds in fastest[:-6:-1]]
        choose(browser, "Trials", "status", "INCORRECT")
        choose(browser, "Trials", "context", "16k")
        wanted = [row for row in rows if row["status"] == "INCORRECT" and row["context"] == 16384]
        count = browser.evaluate(f"{tools('Trials')}.querySelector('.count').textContent")
        assert count == f"{len(wanted)} of {len(rows)} rows"
        assert set(column(browser, "Trials", 5)) == {"INCORRECT"}

    def test_files_hold_the_rows_chosen(self, browser: Chromium, full: Report) -> None:
        go(browser, full, "d1-trials")
        rows = full.page.drawn("Trials")
        name, text = saved(browser, "Trials", "CSV")
        assert name == "trials.csv"
        read = list(csv.DictReader(io.StringIO(text)))
        assert [row["config"] for row in read] == [row["config"] for row in rows]
        assert [float(r["median_s"]) for r in read if r["median_s"]] == [r["median_s"] for r in rows if r["median_s"]]
        choose(browser, "Trials", "status", "PRUNED")
        name, text = saved(browser, "Trials", "JSON")
        assert name == "trials.json"
        assert json.loads(text) == [row for row in rows if row["status"] == "PRUNED"]


class TestCopying:
    BUTTON = "document.querySelector('#d1-topk_select .again button')"

    def test_a_command_is_copied_and_it_is_said(self, browser: Chromium, full: Report) -> None:
        go(browser, full, "d1-topk_select")
        copied = browser.evaluate(
            f"""(async () => {{ let text;
            Object.defineProperty(navigator, 'clipboard', {{ value: {{ writeText: async t => {{ text = t }} }} }});
            {self.BUTTON}.click(); await new Promise(done => setTimeout(done)); return text }})()"""
        )
        assert copied.startswith("dsabench tune --suite quick --op topk_select --impl cpu --impl torch --context 4k ")
        assert browser.evaluate("document.querySelector('[role=status]').textContent") == "copied"
        assert browser.evaluate(f"{self.BUTTON}.textContent") == "copied"

    def test_without_a_clipboard_the_command_is_shown_and_selected(self, browser: Chromium, full: Report) -> None:
        go(browser, full, "d1-topk_select")
        selected = browser.evaluate(
            f"""(async () => {{ Object.defineProperty(navigator, 'clipboard', {{ value: undefined }});
            document.execCommand = () => false;
            {self.BUTTON}.click(); await new Promise(done => setTimeout(done)); return getSelection().toString() }})()"""
        )
        assert selected.startswith("dsabench tune --suite quick --op topk_select")
        assert "Ctrl+C" in browser.evaluate("document.querySelector('[role=status]').textContent")

    def test_every_command_has_a_button(self, browser: Chromium, full: Report) -> None:
        go(browser, full)
        assert browser.evaluate(
            "document.querySelectorAll('button.copy').length === document.querySelectorAll('pre').length"
        )


IMAGE = "<img src=x onerror='window.owned = 1'>"
SCRIPT = "</script><script>window.owned = 1</script><!--"
LINES = "=1+1,\u2028\u2029</title>\"'&amp;<svg onload='window.owned = 1'>"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A device, an implementation, configs and reasons that would be markup, script or formulas if anything let them."""
    directory = tmp_path_factory.mktemp("hostile")
    builder = replace(
        JournalBuilder(ops=("topk_select",), contexts=(4096,)), device=device(IMAGE, "k" + IMAGE), compare=False
    )
    records = []
    for record in builder.records():
        if record.kind == "trial" and record.impl == "torch":
            record = record.model_copy(
                update={
                    "impl": SCRIPT,
                    "status": Status.CRASHED,
                    "reason": LINES,
                    "timing": None,
                    "config": {IMAGE: SCRIPT},
                }
            )
        records.append(record)
    write_records(directory, records)
    built = build([directory], directory / "out")
    return Report(built, Page(built.html))


class TestHostileStrings:
    def test_stay_text_wherever_the_script_puts_them(self, browser: Chromium, hostile: Report) -> None:
        go(browser, hostile, "d1-trials")
        sort(browser, "Trials", "reason")
        cells = browser.evaluate(f"[...{table('Trials')}.tBodies[0].rows[0].cells].map(c => c.textContent)")
        assert cells[2] == SCRIPT
        assert cells[4] == f"{IMAGE}={SCRIPT}"
        assert cells[-1] == LINES
        for sheet in ("d1", "d1-topk_select", "d1-provenance"):
            browser.evaluate(f"location.hash = '{sheet}'")
        sort(browser, WINNERS, "implementation")
        choose(browser, WINNERS, "implementation", "cpu")
        browser.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert browser.evaluate("window.owned") is None
        assert browser.evaluate("document.images.length + document.querySelectorAll('svg[onload]').length") == 0
        assert browser.evaluate("document.scripts.length") == 2
        assert browser.problems == []

    def test_are_no_formulas_in_what_is_saved(self, browser: Chromium, hostile: Report) -> None:
        go(browser, hostile, "d1-trials")
        _, text = saved(browser, "Trials", "CSV")
        reasons = {row["reason"] for row in csv.DictReader(io.StringIO(text)) if row["status"] == "CRASHED"}
        assert reasons == {f"'{LINES}"}
        _, text = saved(browser, "Trials", "JSON")
        assert {row["reason"] for row in json.loads(text) if row["status"] == "CRASHED"} == {LINES}

    def test_a_script_that_is_not_ours_does_not_run(self, browser: Chromium, hostile: Report, tmp_path: Path) -> None:
        """The page's policy itself, should an escape ever be missing."""
        page = hostile.built.html.read_text(encoding="utf-8").replace("<main", f"{SCRIPT}-->{IMAGE}<main", 1)
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        browser.open(path.as_uri(), 1280)
        assert browser.evaluate("window.owned") is None
        assert any("Content Security Policy" in problem for problem in browser.problems)
