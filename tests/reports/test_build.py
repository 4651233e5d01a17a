"""The whole report of a complete journal: what is in it, that it stands alone, and that it is well-formed."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections import Counter

import pytest
from PIL import Image

from dsabench.bench.records import Status
from tests.reports.conftest import FAILING, Report
from tests.reports.journals import CONTEXTS, DEVICE_NAME, OPS


def rows_of_op(report: Report, op: str) -> list[list[str]]:
    found: list[list[str]] = []
    inside = False
    for row in report.page.table("Table of winners"):
        if len(row) == 1:
            inside = row[0].startswith(f"{op} ")
        elif inside:
            found.append(row)
    return found


def test_every_workload_and_implementation_has_a_row(full: Report) -> None:
    for op in OPS:
        rows = rows_of_op(full, op)
        assert [(row[0], row[1].split()[0]) for row in rows] == [
            (context, impl) for context in ("4k", "16k", "64k") for impl in ("cpu", "torch")
        ], op


def test_a_kernel_that_failed_everywhere_has_rows_that_say_so(full: Report) -> None:
    for op, impl in FAILING:
        rows = [row for row in rows_of_op(full, op) if row[1].startswith(impl)]
        assert len(rows) == len(CONTEXTS)
        for row in rows:
            assert "no config passed" in row[3]
            assert "INCORRECT: row" in row[3]
            assert "lse 3.5 where 4.25 was expected" in row[3]


def test_winner_row_shows_times_ratios_roofline_and_the_change_of_config(full: Report) -> None:
    row = rows_of_op(full, "indexer_logits")[0]
    assert re.fullmatch(r"13\.\d ms 13\.\d–13\.\d ms", row[3])
    assert re.fullmatch(r"1\.\d\d× 1\.\d\d–1\.\d\d", row[4])
    assert re.fullmatch(r"8\.\d\d× 8\.\d\d–8\.\d\d", row[5])
    assert re.fullmatch(r"7\d % bf16 products", row[6])
    assert "NK 2→6" in row[7].replace("\xa0", " ")
    assert "DEQUANT table→permute" in row[7].replace("\xa0", " ")
    assert row[1] == "cpu fastest"
    assert row[2] == "numba"


def test_memory_bound_op_is_held_against_the_bandwidth(full: Report) -> None:
    assert rows_of_op(full, "topk_select")[0][6].endswith("read bandwidth")


def test_the_best_of_each_language_stands_on_the_page_of_its_op(full: Report) -> None:
    """Of comparisons with two languages: torch, the other one, failed at sparse_mla_decode."""
    rows = full.page.table("Best of each language: indexer_logits")
    assert [row[1:3] for row in rows] == [["numba", "cpu"], ["torch", "torch"]] * 3
    winners = {(row[0], row[2]): row for row in rows_of_op(full, "indexer_logits")}
    for row in rows:
        winner = winners[row[0].split()[0], row[1]]
        assert winner[3].startswith(row[3])
        assert winner[6].startswith(row[4])
    assert rows[0][5] == "1.00×"
    cpu, torch = (float(row[3].removesuffix(" ms")) for row in rows[:2])
    assert float(rows[1][5].removesuffix("×")) == pytest.approx(torch / cpu, rel=0.01)
    failed = {op for op, _ in FAILING}
    assert len(full.page.tables("Best of each language: ")) == len(set(OPS) - failed)


def test_ties_are_named(full: Report) -> None:
    tied = [row[7] for op in OPS for row in rows_of_op(full, op) if len(row) == 8 and "tie with" in row[7]]
    assert tied
    assert any("tie with NK=4 BLOCK_KV=128 DEQUANT=permute" in text for text in tied)


def test_without_torch_the_ratio_against_it_is_said_to_be_missing(full: Report) -> None:
    cpu = next(row for row in rows_of_op(full, "sparse_mla_decode") if row[1].startswith("cpu"))
    assert cpu[5] == "– torch did not pass"


def test_verdict_strip_counts_every_trial(full: Report) -> None:
    strip = full.page.labelled("ul", "Verdict: trials by status")
    counts = {li.text.split()[1]: int(li.text.split()[0]) for li in strip.all("li")}
    by_status = full.built.by_status
    assert counts["passed"] == by_status["PASSED"] > 0
    assert counts["incorrect"] == by_status["INCORRECT"] == 3 * 24 + 3 * 3
    assert counts["pruned"] == by_status["PRUNED"] > 0
    assert counts["failed"] == by_status["TIMEOUT"] > 0
    assert counts["not"] == 1
    assert sum(by_status.values()) == full.built.trials == 21 * (24 + 3)
    assert "no answer within" in strip.text


def test_failures_are_grouped_and_none_is_lost(full: Report) -> None:
    tables = full.page.tables("Trials that did not pass: ")
    rows = [(name.rpartition(" ")[2], *row) for name, group in tables.items() for row in group]
    assert sum(int(row[2]) for row in rows) == full.built.trials - full.built.by_status["PASSED"]
    assert {row[1] for row in rows} == {"INCORRECT", "TIMEOUT", "PRUNED"}
    incorrect = [row for row in rows if row[1] == "INCORRECT"]
    # 72 trials whose reasons differ in the row's number only are one group
    assert [(row[0], row[3], row[2]) for row in incorrect] == [
        ("sparse_mla_decode", "torch", "9"),
        ("dense_mha_prefill", "cpu", "72"),
    ]
    assert all("=" in row[5] for row in rows)
    assert all(f"--op {row[0]} --impl {row[3]}" in row[5] for row in rows)


def test_correctness_states_rule_rows_and_worst_errors(full: Report) -> None:
    good = next(row for row in full.page.table("Correctness: sparse_mla_prefill") if row[0] == "cpu")
    assert good[1] == "66 of 66"
    assert good[2] == "144 of 192"
    assert "max_abs 1.7e-04" in good[3]
    assert "2.01/128" in good[4]
    assert "dsabench verify --suite quick --op sparse_mla_prefill --impl cpu --device cpu" in good[4]
    bad = next(row for row in full.page.table("Correctness: sparse_mla_decode") if row[0] == "torch")
    assert bad[1] == "0 of 9"
    assert "of those that failed" in bad[3]


def test_provenance_names_device_versions_sources_policy_ceilings_and_command(full: Report) -> None:
    device = dict(full.page.table("Device"))
    assert device["name"] == DEVICE_NAME
    assert "avx512_bf16" in device["instruction set"]
    assert device["governor"] == "performance"
    assert dict(full.page.table("Versions"))["torch"] == "2.13.0"
    assert ["bf16 products", "439 GFLOP/s (426 GFLOP/s)", "15: vdpbf16ps tiles, K = 576"] in full.page.table("Ceilings")
    assert dict(full.page.table("Timing policy"))["inputs"] == "rotated over 3 times the last-level cache"
    assert len(full.page.table("Kernel sources")) == 14
    assert (
        full.page.labelled("pre", "Command of the run").text
        == "dsabench tune --suite quick --budget 5m --out runs/synthetic"
    )
    assert "long/sparse_mla_decode 1m" in full.page.text


def test_every_comparison_can_be_reproduced_by_a_command(full: Report) -> None:
    commands = [pre.text for pre in full.page.root.all("pre")]
    wanted = (
        "dsabench tune --suite quick --op topk_select --impl cpu --impl torch --context 16k "
        "--strategy exhaustive --effort quick --seed 0 --device cpu --out rerun"
    )
    assert wanted in commands


def test_work_table_keeps_compulsory_and_gather_bytes_apart(full: Report) -> None:
    sparse = full.page.table("Work and rates: sparse_mla_prefill")[0]
    assert sparse[0].startswith("4k ")
    assert sparse[2] == "8.75 MiB"
    assert sparse[3] == "40.2 MiB"
    assert sparse[8].endswith("B/s")
    assert full.page.table("Work and rates: topk_select")[0][6] == "–"


def test_heat_maps_show_slowdowns_from_the_best(full: Report) -> None:
    cells = full.page.table("Heat map of indexer_logits, cpu, 64k s_q=64 h=64 causal=1")
    assert len(cells) == 4
    values = [float(cell) for row in cells for cell in row[1:]]
    assert min(values) == 1.0
    assert max(values) == pytest.approx(2.1 * 1.25, rel=0.03)
    assert {row[-3]: row[-2] for row in full.page.table("Parameters of indexer_logits, torch")}["2048"] == "1.00"


def test_how_to_read_defines_the_terms(full: Report) -> None:
    terms = [dt.text for dt in full.page.root.all("dt")]
    for word in ("interval", "Tie", "Compulsory", "roofline", "Statuses", "do not mean"):
        assert any(word in term for term in terms), word
    assert "IMPOSSIBLE" in full.page.text


def test_csv_in_the_page_holds_the_table(full: Report) -> None:
    link = next(a for a in full.page.root.all("a") if a.attributes.get("download") == "winners.csv")
    text = base64.b64decode(link.attributes["href"].split(",", 1)[1]).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 7 * 3 * 2
    first = rows[0]
    assert (first["op"], first["impl"], first["context"], first["state"]) == (
        "indexer_logits",
        "cpu",
        "4096",
        "compared",
    )
    assert {(row["impl"], row["language"]) for row in rows} == {("cpu", "numba"), ("torch", "torch")}
    assert float(first["low_s"]) < float(first["median_s"])
    assert sum(row["state"] == "failed" for row in rows) == 6


def test_page_stands_alone(full: Report) -> None:
    full.page.stands_alone()
    assert full.built.html.stat().st_size < 5_000_000


def test_script_can_stand_in_a_page(full: Report) -> None:
    """Neither ends the element it stands in, and nothing in it makes markup of text."""
    (script,) = full.page.scripts
    for word in (
        "</script",
        "<!--",
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
    ):
        assert word not in script, word


def test_each_op_has_a_page_with_its_parts(full: Report) -> None:
    sheets = {e.attributes["id"]: e for e in full.page.root.all("section") if "sheet" in e.attributes["class"].split()}
    assert list(sheets) == ["d1", *(f"d1-{op}" for op in OPS), "d1-trials", "d1-provenance", "reading"]
    links = full.page.labelled("nav", "Pages").all("a")
    assert [a.attributes["href"] for a in links] == [f"#{name}" for name in sheets]
    for op in OPS:
        headings = [h.text for h in sheets[f"d1-{op}"].all("h3")]
        assert {"Winners", "Trials that did not pass", "Correctness", "Work and rates"} <= set(headings), op
        figures = [svg.attributes["aria-label"] for svg in sheets[f"d1-{op}"].all("svg")]
        for other in set(OPS) - {op}:
            assert not [label for label in figures if label.startswith(f"Latency of {other},")]


def test_every_trial_is_in_the_page_as_data(full: Report) -> None:
    rows = full.page.drawn("Trials")
    assert len(rows) == full.built.trials
    assert Counter(row["status"] for row in rows) == {s: n for s, n in full.built.by_status.items() if n}
    first = rows[0]
    assert (first["op"], first["context"]) == ("indexer_logits", 4096)
    assert first["low_s"] < first["median_s"] < first["high_s"]
    assert all((row["reason"] == "") == (row["status"] == "PASSED") for row in rows)


def test_trials_of_a_reader_without_scripts_are_the_same(full: Report) -> None:
    link = next(a for a in full.page.root.all("a") if a.attributes.get("download") == "trials.csv")
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(link.attributes["href"].split(",", 1)[1]).decode())))
    drawn = full.page.drawn("Trials")
    assert [row["config"] for row in rows] == [row["config"] for row in drawn]
    assert [float(row["median_s"]) for row in rows if row["median_s"]] == [
        r["median_s"] for r in drawn if r["median_s"]
    ]


def test_json_in_the_page_holds_the_table(full: Report) -> None:
    link = next(a for a in full.page.root.all("a") if a.attributes.get("download") == "winners.json")
    rows = json.loads(base64.b64decode(link.attributes["href"].split(",", 1)[1]))
    assert len(rows) == 7 * 3 * 2
    assert rows[0]["axes"]["s_kv"] == rows[0]["context"] == 4096
    assert rows[0]["config"]["NK"] == 6
    assert rows[0]["low_s"] < rows[0]["median_s"]


def test_page_is_well_formed_and_accessible(full: Report) -> None:
    page = full.page
    assert page.unbalanced == []
    assert len(page.ids) == len(set(page.ids))
    targets = {reference[1:] for reference in page.references if reference.startswith("#")}
    assert targets <= set(page.ids)
    headings = [int(e.tag[1]) for level in "1234" for e in page.root.all(f"h{level}")]
    assert headings.count(1) == 1
    assert {2, 3} <= set(headings)
    for table in page.root.all("table"):
        assert table.all("caption")
    for th in page.root.all("th"):
        assert th.attributes.get("scope") in ("row", "col", "rowgroup")
    for svg in page.root.all("svg"):
        assert svg.attributes["role"] == "img"
        assert svg.attributes["aria-label"]
    # what scrolls sideways is reachable with the keyboard
    for div in page.root.all("div"):
        if "scroll" in div.attributes.get("class", "").split():
            assert div.attributes["tabindex"] == "0"


def test_figures_follow_the_pages_colours(full: Report) -> None:
    """Fixed colours would vanish in one of light and dark."""
    for svg in re.findall(r"<svg.*?</svg>", full.page.source, flags=re.DOTALL):
        assert not re.findall(r"#[0-9a-f]{6}\b", re.sub(r"#[\w-]*?-[\w-]+", "", svg))
    assert "prefers-color-scheme: dark" in full.page.source


def test_roofline_labels_each_op_and_ceiling(full: Report) -> None:
    figures = [svg for svg in full.page.root.all("svg") if svg.attributes["aria-label"].startswith("Roofline")]
    assert {svg.attributes["class"] for svg in figures} == {"wide", "narrow"}
    for svg in figures:
        words = [text.text for text in svg.all("text")]
        for op in OPS:
            assert op in words
        for ceiling in ("bf16 products 439 GFLOP/s", "f32 products 216 GFLOP/s", "read 38.0 GB/s", "copy 31.0 GB/s"):
            assert ceiling in words
        dots = [t.text for t in svg.all("title")]
        assert len(dots) == 21
        assert any(t.startswith("sparse_mla_decode 64k") and "default config takes" in t for t in dots)


def test_latency_has_a_panel_an_op_and_a_line_an_implementation(full: Report) -> None:
    panels = [svg for svg in full.page.root.all("svg") if svg.attributes["aria-label"].startswith("Latency of")]
    assert len(panels) == 7
    for svg, op in zip(panels, OPS, strict=True):
        words = [text.text for text in svg.all("text")]
        expected = {"cpu", "torch"} - {impl for failed, impl in FAILING if failed == op}
        assert expected | {"roofline", "4k", "16k", "64k"} <= set(words)
        assert len(svg.all("title")) == 3 * len(expected)


def test_search_has_a_panel_a_workload(full: Report) -> None:
    panels = [svg for svg in full.page.root.all("svg") if svg.attributes["aria-label"].startswith("Search of")]
    assert len(panels) == 21
    assert any("found at trial" in title.text for title in panels[0].all("title"))


def test_pngs_decode_at_a_readable_size(full: Report) -> None:
    assert [path.name for path in full.built.plots] == ["roofline.png", "latency.png", "speedup.png", "search.png"]
    sizes = {}
    for path in full.built.plots:
        with Image.open(path) as image:
            image.load()
            assert image.format == "PNG"
            sizes[path.stem] = image.size
            assert len(image.convert("L").getcolors(256) or []) > 10  # not blank
    assert sizes["roofline"] == (2160, 1076)
    assert sizes["speedup"][0] == 2160
    assert sizes["latency"] == sizes["search"] == (2280, 2 * (70 + 3 * 302))


def test_every_status_is_counted_by_name(full: Report) -> None:
    assert set(full.built.by_status) == {status.value for status in Status}
