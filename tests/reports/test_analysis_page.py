"""The page's parts made by `dsabench.reports.analysis`, as a reader finds them."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib
import pytest

from dsabench.bench.journal import read_journal
from dsabench.reports.figures.theme import RC
from dsabench.reports.known import know
from dsabench.reports.page import LEAN, Views, render, view_all, view_section
from dsabench.reports.sections import sections_of
from tests.reports.conftest import Report
from tests.reports.journals import JournalBuilder, device, header, workload_record, write_records
from tests.reports.made_comparisons import Made, made_comparison
from tests.reports.made_trials import OP
from tests.reports.pages import Page

WORKLOAD = "64k s_q=64 h=64 causal=1"


def numbers(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"\d+\.?\d*", text)]


def test_time_saved_has_a_row_for_each_compared_implementation(full: Report) -> None:
    """Two of 14 implementations fail everywhere; the page's other side of them is the table of winners."""
    rows = full.page.table("Default against tuned, in time")
    assert len(rows) == 12 * 3
    assert {row[0] for row in rows} == {
        "indexer_logits",
        "paged_indexer_logits",
        "topk_select",
        "sparse_mla_prefill",
        "sparse_mla_decode",
        "dense_mla_decode",
        "dense_mha_prefill",
    }
    assert all("±" in row[-1] for row in rows)


def test_every_finalist_has_its_strips(full: Report) -> None:
    sheet = next(e for e in full.page.root.all("section") if e.attributes.get("id") == "d1-indexer_logits")
    labels = [svg.attributes["aria-label"] for svg in sheet.all("svg") if "1st half" in svg.attributes["aria-label"]]
    finalists = [row for rows in full.page.tables("Finalists of indexer_logits ").values() for row in rows]
    assert len(labels) == len(finalists) > 0
    assert all("1st half: 6 samples" in label and "trial: 24 samples" in label for label in labels)


def test_axis_from_zero_needs_no_script(full: Report) -> None:
    """A checkbox, which the style sheet looks at; each strip carries the matrix that moves it."""
    boxes = [box for box in full.page.root.all("input") if box.attributes.get("class") == "zero"]
    figures = [figure for figure in full.page.root.all("figure") if "samples" in figure.attributes.get("class", "")]
    assert len(boxes) == len(figures) > 0
    assert ":has(.zero:checked)" in full.page.source
    matrices = {g.attributes["style"] for figure in figures for g in figure.all("g")}
    assert all(re.fullmatch(r"--m:matrix\([\d.]+,0,0,1,[\d.]+,0\)", style) for style in matrices)


def test_parameters_are_ranked_by_what_they_do(full: Report) -> None:
    rows = full.page.table("Ranking of the parameters of indexer_logits, cpu")
    assert [row[0] for row in rows] == ["NK", "DEQUANT", "BLOCK_KV"]
    spreads = [numbers(row[1])[0] for row in rows]
    assert spreads == pytest.approx([2.1, 1.25, 1.12], rel=0.03)
    shares = [numbers(row[2])[0] for row in rows]
    assert shares[0] > shares[1] > shares[2]
    assert [row[3] for row in rows] == ["6", "permute", "128"]


def test_maps_mark_what_was_pruned_and_the_default(full: Report) -> None:
    rows = {row[0]: row[1:] for row in full.page.table(f"Heat map of indexer_logits, cpu, {WORKLOAD}")}
    assert set(rows) == {"1", "2", "4", "6"}
    assert [len(cells) for cells in rows.values()] == [2] * 4
    default = [td for td in full.page.root.all("td") if "default" in td.attributes.get("class", "").split()]
    assert len(default) >= 12


def test_margins_name_winner_noise_and_verdict(full: Report) -> None:
    rows = full.page.table("Margins of indexer_logits")
    verdicts = {row[3].split()[0] for row in rows if len(row) == 6}
    assert verdicts <= {"clear", "tie", "no"}
    between = [row for row in rows if row[0] == "implementations"]
    assert len(between) == 3
    assert {(row[4], row[5]) for row in between} == {("cpu", "torch")}
    assert all(row[2] == "± 1.5 %" for row in rows if len(row) == 6)


def test_best_configs_are_ten_of_all(full: Report) -> None:
    rows = full.page.table(f"Best configs of indexer_logits, cpu, {WORKLOAD}")
    assert [row[0] for row in rows] == [str(i) for i in range(1, 11)]
    assert numbers(rows[0][2])[0] == 1.0
    assert "22 configs that passed" in full.page.text


def test_pairs_stand_as_a_matrix(tmp_path: Path) -> None:
    made = [Made(name, {}, [seconds] * 8) for name, seconds in (("fast", 1.0), ("slow", 2.0))]
    comparison = made_comparison(made, noise=0.01, pairs=True)
    path = write_records(tmp_path, [header(device()), workload_record(OP, 4096), comparison])
    (tmp_path / "page.html").write_text(
        render(view_all([know(section) for section in sections_of([read_journal(path)])]))
    )
    region = next(
        e
        for e in Page(tmp_path / "page.html").root.all("div")
        if e.attributes.get("aria-label", "").startswith("Pairs of")
    )
    cells = [[td.text for td in tr.all("td")] for tr in region.all("tbody")[0].all("tr")]
    assert cells == [["", "0.500× faster"], ["2.00× slower", ""]]


def test_a_page_made_leaner_is_the_lean_one(tmp_path: Path) -> None:
    """What is left of a page that was too large is what would have been worked out and drawn for it."""
    path = JournalBuilder(ops=("indexer_logits", "topk_select", "sparse_mla_decode")).write(tmp_path)
    known = know(sections_of([read_journal(path)])[0])
    with matplotlib.rc_context(RC):
        made_leaner = view_all([known]).lean()
        lean = Views(LEAN, [view_section(known, "d1", LEAN)], [])
    assert 0 < len(lean.sections[0].search) < len(known.searches)
    assert render(made_leaner) == render(lean)


def test_a_lean_page_leaves_comparisons_out_and_says_so(tmp_path: Path, small: JournalBuilder) -> None:
    views = view_all([know(section) for section in sections_of([read_journal(small.write(tmp_path))])])
    for each, there in ((views, True), (views.lean(), False)):
        page = tmp_path / "page.html"
        page.write_text(render(each))
        text = Page(page)
        assert any(svg for svg in text.root.all("svg") if "1st half:" in svg.attributes.get("aria-label", "")) is there
        assert ("Comparisons left out for size: 1" in text.text) is not there
