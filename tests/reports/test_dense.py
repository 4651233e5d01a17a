"""The report of `compare --dense`: what is in it, and that nothing that is missing is left out."""

from __future__ import annotations

import base64
import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from PIL import Image

from dsabench.bench.journal import read_journal
from dsabench.bench.losses.structures import STRUCTURES as MADE
from dsabench.bench.scaling.bill import Price, bills
from dsabench.bench.scaling.points import by_context, crossover_of
from dsabench.bench.scaling.words import dollars, summary
from dsabench.reports.build import build
from dsabench.reports.dense.losses import STRUCTURES, loss_groups
from dsabench.reports.dense.rows import rows_of
from dsabench.reports.dense.study import price_of, studies_of
from dsabench.reports.dense.view import stage_caption
from dsabench.reports.figures import stages
from dsabench.reports.figures.labels import spaced
from dsabench.reports.figures.theme import LIGHT, RC
from dsabench.reports.quantities import Span, format_ratio, format_time, format_time_interval
from dsabench.reports.sections import Section, sections_of
from tests.bench.scaling.pipeline_points import point
from tests.reports.conftest import Report
from tests.reports.dense_journals import CONTEXTS, DOES_NOT_FIT, DenseJournal, loss
from tests.reports.journals import JournalBuilder, device, header, write_records
from tests.reports.pages import Element, Page

DECODE = "decode, 1 sequence, 1 token each"
PREFILL = "prefill, in chunks of 64 tokens"


def section_of(*paths: Path) -> Section:
    return sections_of([read_journal(path) for path in paths])[0]


def report(directory: Path, *journals: DenseJournal) -> Page:
    paths = [directory / f"run{index}" for index in range(len(journals))]
    for path, journal in zip(paths, journals, strict=True):
        journal.write(path)
    return Page(build(paths, directory / "out").html)


def table(page: Page, name: str) -> list[list[str]]:
    return page.table(f"Sparse against dense: {name}")


def svgs(page: Page, label: str) -> list[Element]:
    return [svg for svg in page.root.all("svg") if svg.attributes["aria-label"].startswith(label)]


def texts(svg: Element) -> list[str]:
    return [text.text for text in svg.all("text")]


def titles(svg: Element) -> list[str]:
    return [title.text for title in svg.all("title")]


class TestPage:
    def test_has_a_part_for_each_phase_and_for_losses_and_none_of_tuning(self, compared: Report) -> None:
        headings = [h.text for h in compared.page.root.all("h3")]
        assert headings == [
            f"Sparse against dense: {DECODE}",
            f"Sparse against dense: {PREFILL}",
            "What selecting keys loses",
        ]
        assert "No trial was finished" not in compared.page.text
        assert "The ceilings were not measured" not in compared.page.text

    def test_stands_alone_well_formed_and_accessible(self, compared: Report) -> None:
        page = compared.page
        assert page.unbalanced == []
        page.stands_alone()
        assert len(page.ids) == len(set(page.ids))
        assert {reference[1:] for reference in page.references if reference.startswith("#")} <= set(page.ids)
        for one in page.root.all("table"):
            assert one.all("caption")
        for svg in page.root.all("svg"):
            assert svg.attributes["role"] == "img"
        assert compared.built.html.stat().st_size < 1_000_000

    def test_figures_follow_the_pages_colours(self, compared: Report) -> None:
        for svg in re.findall(r"<svg.*?</svg>", compared.page.source, flags=re.DOTALL):
            assert not re.findall(r"#[0-9a-f]{6}\b", re.sub(r"#[\w-]*?-[\w-]+", "", svg))

    def test_begins_with_the_answer_in_the_terminals_words(self, compared: Report, tmp_path: Path) -> None:
        path = DenseJournal(phase="prefill", queries=64, structures=()).write(tmp_path)
        points = read_journal(path).pipelines
        said = summary(points, [], Price(), 0)
        answers = [p.text for p in compared.page.root.all("p") if p.attributes.get("class") == "answer"]
        assert answers[1] == f"S{said[0][1:]}."
        listed = compared.page.labelled("ul", f"In words: {PREFILL}").text
        for sentence in said[1:]:
            assert f"{sentence[0].upper()}{sentence[1:]}." in listed

    def test_counts_what_was_measured(self, compared: Report) -> None:
        assert compared.built.points == 12
        assert compared.built.trials == 0

    def test_header_alone_claims_nothing(self, tmp_path: Path) -> None:
        write_records(tmp_path, [DenseJournal().header()])
        page = Page(build([tmp_path], tmp_path / "out").html)
        assert page.unbalanced == []
        assert "No context was measured on both sides" in page.text
        rows = table(page, DECODE)
        assert [row[0] for row in rows if len(row) > 1] == ["4K", "8K", "16K", "32K", "64K", "128K"]
        assert all("never reached: the run was killed" in row[0] for row in rows if len(row) == 1)
        assert not list((tmp_path / "out" / "plots").iterdir())

    def test_a_suite_that_says_nothing_is_no_error(self, tmp_path: Path) -> None:
        odd = DenseJournal().header().model_copy(update={"suite": "decode 4q b=1 s_q=1 h_q=128 topk=2048"})
        write_records(tmp_path, [odd])
        assert Page(build([tmp_path], tmp_path / "out").html).unbalanced == []


class TestTable:
    def test_holds_the_records_numbers(self, tmp_path: Path) -> None:
        journal = DenseJournal(contexts=(4096, 65536), structures=())
        page = report(tmp_path, journal)
        rows = table(page, DECODE)
        for row, context in zip(rows, journal.contexts, strict=True):
            measured = journal.point(context)
            assert measured.dense
            assert measured.sparse
            assert measured.eager
            assert measured.speedup
            sides = (measured.dense, measured.sparse)
            spans = [Span(each.time.median_s, each.time.low_s, each.time.high_s) for each in sides]
            assert row[1:3] == [f"{format_time(span.value)} {format_time_interval(span)}" for span in spans]
            assert row[3].split()[0] == format_ratio(measured.speedup.ratio)
            named = [stage.time.median_s for stage in measured.sparse.stages]
            assert [cell.rsplit(" ", 2)[0] for cell in row[4:8]] == [format_time(seconds) for seconds in named]
            assert row[8].startswith(format_time(measured.eager.time.median_s))
            billed = bills([measured], Price())
            assert row[9].split()[0] == dollars(billed["dense"][context].usd)
            assert row[10].split()[0] == dollars(billed["sparse"][context].usd)
            assert row[11] == "sparse 4 of 4 dense 4 of 4 eager 4 of 4"

    def test_is_there_as_csv_with_gaps(self, compared: Report) -> None:
        link = next(a for a in compared.page.root.all("a") if a.attributes.get("download") == "rows-decode.csv")
        rows = list(csv.DictReader(io.StringIO(base64.b64decode(link.attributes["href"].split(",", 1)[1]).decode())))
        assert [int(row["context"]) for row in rows] == list(CONTEXTS)
        assert float(rows[0]["dense_ms"]) == pytest.approx(7.5e-7 * 4096 * 1e3, rel=0.02)
        assert rows[-1]["dense_ms"] == ""
        assert DOES_NOT_FIT in rows[-1]["gaps"]

    def test_a_tie_is_called_one(self, tmp_path: Path) -> None:
        equal = [point(c, 2e-3, {"attention": 2e-3}) for c in (4096, 8192)]
        write_records(tmp_path, [DenseJournal(contexts=(4096, 8192)).header(), *equal])
        page = Page(build([tmp_path], tmp_path / "out").html)
        assert all(row[3].endswith(": a tie") for row in table(page, DECODE))

    def test_prefill_has_the_mean_over_a_prompt_and_what_it_assumes(self, compared: Report) -> None:
        assert "prompt $" in table(compared.page, PREFILL)[-1][9]
        assert re.search(r"carried on from the first two lengths \(100 % at 4K, 25 % at 8K", compared.page.text)

    def test_growth_stands_beside_what_is_expected(self, compared: Report) -> None:
        rows = {(row[0], row[1]): row for row in compared.page.table(f"Growth: {PREFILL}")}
        assert rows["dense", "token"][3].startswith("1.0")
        assert rows["dense", "prompt"][3].startswith(("1.9", "2.0"))
        assert rows["attention", "token"][5] == "0"
        assert rows["indexer", "prompt"][5] == "2"

    def test_price_is_the_runs(self, compared: Report) -> None:
        assert "61 layers, $3 an hour, attention only" in compared.page.text
        assert "61 layers, $2 an hour, attention only" in compared.page.text
        at_three = dollars(bills([DenseJournal().point(4096)], Price(3.0))["dense"][4096].usd)
        assert table(compared.page, DECODE)[0][9].split()[0] == at_three

    @pytest.mark.parametrize(
        ("command", "price"),
        [
            ("dsabench compare --dense", Price()),
            ("dsabench compare --dense --gpu-hour-usd 3.5 --other-ms=0.25", Price(3.5, 0.25)),
            ("dsabench compare --gpu-hour-usd", Price()),
            ("dsabench compare --gpu-hour-usd free --other-ms -1", Price()),
            ("dsabench compare --gpu-hour-usd nan --other-ms inf", Price()),
            ("dsabench compare --gpu-hour-usd 1e300", Price()),
            ("dsabench 'compare", Price()),
        ],
    )
    def test_a_price_that_cannot_be_read_is_the_default(self, command: str, price: Price) -> None:
        assert price_of(command) == price


class TestGaps:
    def test_are_in_the_notices_the_table_and_the_picture(self, compared: Report) -> None:
        page = compared.page
        listed = page.labelled("ul", f"Gaps: {DECODE}").text
        assert f"128K: no dense, eager: {DOES_NOT_FIT}" in listed
        assert "256K: no sparse, dense: the budget ended" in listed
        rows = table(page, DECODE)
        assert [row[0] for row in rows if len(row) == 1] == [
            f"128K: no dense, eager: {DOES_NOT_FIT}",
            "256K: no sparse, dense: the budget ended",
        ]
        row = next(row for row in rows if row[0] == "128K")
        assert row[1] == row[3] == row[8] == row[9] == "–"
        assert row[2].startswith("8.8")
        assert all("no dense" in texts(svg) for svg in svgs(page, f"Stage times of {DECODE}"))
        assert not any(svg for svg in svgs(page, f"Stage times of {PREFILL}") if "no dense" in texts(svg))
        cost = svgs(page, f"Cost of {DECODE}")[0]
        assert not [t for t in titles(cost) if t.startswith("dense decode at 128K")]
        assert [t for t in titles(cost) if t.startswith("sparse decode at 128K")]

    def test_a_killed_run_names_the_contexts_it_never_reached(self, tmp_path: Path) -> None:
        page = report(tmp_path, DenseJournal(contexts=CONTEXTS[:3], asked=CONTEXTS, ended=None))
        listed = page.labelled("ul", f"Gaps: {DECODE}").text
        for label in ("32K", "64K", "128K"):
            assert f"{label}: no sparse, dense: asked for and never reached: the run was killed" in listed

    def test_a_wrong_side_is_a_gap_with_its_reason(self, tmp_path: Path) -> None:
        wrong = point(8192, 6e-3, {"attention": 3e-3}, wrong=("sparse",))
        good = point(16384, 12e-3, {"attention": 3e-3})
        write_records(tmp_path, [DenseJournal(contexts=(8192, 16384)).header(), wrong, good])
        page = Page(build([tmp_path], tmp_path / "out").html)
        assert "8K: no sparse: its output is wrong: row 3 is off" in page.labelled("ul", f"Gaps: {DECODE}").text
        assert table(page, DECODE)[0][2] == "–"

    def test_a_point_that_a_later_one_replaced_is_counted(self, tmp_path: Path) -> None:
        lost = DenseJournal(contexts=(4096,), gaps={4096: dict.fromkeys(("dense", "sparse", "eager"), "it crashed")})
        later = replace(lost, gaps={}, started="2026-03-05T10:00:00+00:00", ended="2026-03-05T10:03:20+00:00")
        page = report(tmp_path, lost, later)
        assert "measured again later: 1, the latest of each context is shown" in page.text
        assert "it crashed" not in page.text

    def test_nothing_measured_of_one_side_still_has_its_pictures(self, tmp_path: Path) -> None:
        page = report(tmp_path, DenseJournal(gaps={c: {"dense": DOES_NOT_FIT} for c in CONTEXTS}, structures=()))
        assert "No context was measured on both sides" in page.text
        assert "No context has both sides: there is nothing to compare." in page.text
        assert texts(svgs(page, "Stage times")[0]).count("no dense") == 6


class TestPictures:
    def test_cost_has_both_curves_with_intervals_and_the_published_ends(self, compared: Report) -> None:
        for name, dense, sparse in ((DECODE, "2.20", "0.25"), (PREFILL, "0.66", "0.19")):
            wide, narrow = svgs(compared.page, f"Cost of {name}")
            assert (wide.attributes["class"], narrow.attributes["class"]) == ("wide", "narrow")
            for svg in (wide, narrow):
                words = texts(svg)
                assert {"dense", "sparse", "token position", "per million tokens"} <= set(words)
                assert {f"published, dense ${dense}", f"published, sparse ${sparse}"} <= set(words)
        tips = titles(svgs(compared.page, f"Cost of {PREFILL}")[0])
        assert len(tips) == 2 * 6 + 2
        assert re.fullmatch(r"dense prefill at 4K: \$36\.\d\d per million tokens \(\$3\d\.\d\d–\$3\d\.\d\d\)", tips[0])
        assert compared.page.text.count("not comparable with the lines") == 2

    def test_crossover_is_marked_with_its_interval(self, compared: Report, tmp_path: Path) -> None:
        found = crossover_of(
            by_context(read_journal(DenseJournal(phase="prefill", queries=64).write(tmp_path)).pipelines), 0
        )
        assert found is not None
        mark = f"sparse wins from {found.crossings[0].words()}"
        for svg in svgs(compared.page, f"Stage times of {PREFILL}"):
            assert mark in texts(svg)
            assert mark in titles(svg)
        assert not [t for svg in svgs(compared.page, f"Stage times of {DECODE}") for t in texts(svg) if "wins" in t]
        assert (
            "The winner does not change: sparse decode wins already at the shortest length measured (4K)."
            in compared.page.text
        )

    def test_stages_are_stacked_to_their_sum_what_is_constant_below(self, tmp_path: Path) -> None:
        journal = DenseJournal(contexts=(65536,))
        study = studies_of(section_of(journal.write(tmp_path)))[0]
        panel = stages.stage_panel(study, rows_of(study))
        assert panel is not None
        with matplotlib.rc_context(RC):
            figure, tips = stages.draw_stages(panel, LIGHT, narrow=True)
        measured = journal.point(65536).sparse
        assert measured is not None
        times = {stage.name: stage.time.median_s for stage in measured.stages}
        bars = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
        bottom = 0.0
        for bar, name in zip(bars, ("attention", "indexer", "topk", "slots"), strict=False):
            assert bar.get_y() == pytest.approx(bottom)
            assert bar.get_height() == pytest.approx(times[name])
            assert bar.get_facecolor() == to_rgba(stages.stage_colour(LIGHT, panel, name))
            bottom += times[name]
        assert bottom == pytest.approx(sum(times.values()))
        assert [tip for tip in tips if tip.startswith("indexer at 64K, cpu: 3.")]

    def test_legend_names_every_stage(self, compared: Report) -> None:
        for svg in svgs(compared.page, f"Stage times of {DECODE}"):
            assert {"indexer", "topk", "slots", "attention", "the whole, as timed", "dense"} <= set(texts(svg))

    def test_what_of_dense_does_not_fit_is_cut_and_its_number_stands_above(self, tmp_path: Path) -> None:
        section = section_of(DenseJournal().write(tmp_path))
        study = studies_of(section)[0]
        panel = stages.stage_panel(study, rows_of(study))
        assert panel is not None
        assert panel.cut
        with matplotlib.rc_context(RC):
            figure, _ = stages.draw_stages(panel, LIGHT, narrow=False)
        axes = figure.axes[0]
        assert axes.get_ylim()[1] < 20e-3
        assert {"24", "50", "99"} <= {text.get_text() for text in axes.texts}
        assert "Bars of dense that do not fit are cut" in stage_caption(panel)

    def test_memory_has_bytes_a_token_totals_and_peaks(self, compared: Report) -> None:
        svg = svgs(compared.page, f"Memory of {DECODE}")[0]
        words = texts(svg)
        assert {"1152 B", "788 B, 31.6% less", "8.58 GiB", "5.87 GiB"} <= set(words)
        assert "KV cache of a sequence, 61 layers" in words
        assert "1.00 MiB + 2.00 MiB" in words

    def test_memory_that_could_not_be_read_is_a_question_mark(self, tmp_path: Path) -> None:
        journal = DenseJournal(contexts=(4096,))
        known = journal.point(4096)
        assert known.sparse
        unknown = known.model_copy(update={"sparse": known.sparse.model_copy(update={"peak_extra_bytes": None})})
        write_records(tmp_path, [journal.header(), unknown])
        page = Page(build([tmp_path], tmp_path / "out").html)
        assert any(text.endswith("+ ?") for text in texts(svgs(page, "Memory")[0]))

    def test_pngs_are_made_and_decode(self, compared: Report) -> None:
        assert [path.name for path in compared.built.plots] == ["cost.png", "stages.png", "memory.png", "losses.png"]
        for path in compared.built.plots:
            with Image.open(path) as image:
                image.load()
                assert image.width >= 1800
                assert len(image.convert("L").getcolors(256) or []) > 10  # not blank

    def test_pngs_of_an_earlier_report_do_not_outlive_it(self, tmp_path: Path) -> None:
        report(tmp_path, DenseJournal(contexts=(4096, 8192)))
        write_records(tmp_path / "tuned", [header(device())])
        assert build([tmp_path / "tuned"], tmp_path / "out").plots == []
        assert list((tmp_path / "out" / "plots").iterdir()) == []

    @pytest.mark.parametrize(("gap", "kept"), [(0, [0, 1, 2, 3]), (10, [1, 2, 3]), (31, [1, 3]), (500, [3])])
    def test_ticks_keep_their_distance(self, gap: float, kept: list[int]) -> None:
        assert spaced([5.0, 10.0, 40.0, 70.0], gap) == kept


class TestLosses:
    def test_table_holds_the_records_numbers(self, compared: Report) -> None:
        rows = [row for row in compared.page.table("What selecting keys loses") if len(row) > 1]
        assert len(rows) == 4 * 5
        measured = loss("spread", 2048)
        row = rows[3]
        assert row[0] == "2048"
        for cell, spread in zip(
            row[1:6],
            (measured.recall, measured.mass, measured.mass_exact, measured.mass_best, measured.error),
            strict=True,
        ):
            assert cell == f"{100 * spread.median:.1f} % {100 * spread.low:.1f}–{100 * spread.high:.1f}"

    def test_says_that_inputs_are_synthetic(self, compared: Report) -> None:
        assert "Synthetic inputs have a structure that was put into them" in compared.page.text
        details = [t for t in texts(svgs(compared.page, "What selecting keys loses")[0]) if t.startswith("synthetic: ")]
        assert len(details) == 4

    def test_real_inputs_are_not_called_synthetic(self, tmp_path: Path) -> None:
        write_records(tmp_path, [DenseJournal().header(), loss("layer17.safetensors", 2048, synthetic=False)])
        page = Page(build([tmp_path], tmp_path / "out").html)
        assert "Synthetic inputs" not in page.text
        rows = page.table("What selecting keys loses")
        assert rows[0][0] == "layer17.safetensors real inputs, from a file; 16 queries of 128 heads, 32K keys"

    def test_kinds_are_those_that_are_made(self) -> None:
        assert STRUCTURES.keys() == MADE.keys()

    def test_a_loss_measured_again_counts_once(self) -> None:
        groups = loss_groups([loss("spread", 256), loss("spread", 512), loss("spread", 256)])
        assert [point.k for point in groups[0].points] == [256, 512]

    def test_are_left_out_where_there_are_none(self, tmp_path: Path) -> None:
        page = report(tmp_path, DenseJournal(contexts=(4096, 8192), structures=()))
        assert "What selecting keys loses" not in [h.text for h in page.root.all("h3")]
        assert not (tmp_path / "out" / "plots" / "losses.png").exists()


class TestBesideTuning:
    def test_both_have_their_parts(self, tmp_path: Path, small: JournalBuilder) -> None:
        small.write(tmp_path / "tune")
        DenseJournal(contexts=(4096, 65536)).write(tmp_path / "dense")
        alone = Page(build([tmp_path / "tune"], tmp_path / "alone").html)
        built = build([tmp_path / "tune", tmp_path / "dense"], tmp_path / "out")
        page = Page(built.html)
        assert {p.name for p in built.plots} >= {"roofline.png", "search.png", "cost.png", "losses.png"}
        headings = [h.text for h in page.root.all("h3")]
        assert headings.index(f"Sparse against dense: {DECODE}") < headings.index("Winners")
        # the kernels that a comparison with dense names are not there to be tuned
        for name in ("Table of winners", "Work and rates: sparse_mla_decode", "Correctness: sparse_mla_decode"):
            assert page.table(name) == alone.table(name)
        assert "different kernel sources" not in page.text
        assert page.labelled("pre", f"Command of {DECODE}").text == "dsabench compare --dense --out runs/dense"
        assert len(page.table("Runs")) == 2

    def test_a_tuning_run_alone_has_none_of_it(self, full: Report) -> None:
        assert "gainst dense" not in full.page.text
        assert "Crossover" not in [dt.text for dt in full.page.root.all("dt")]
        assert "The GPU while it was timed" not in full.page.text


HOSTILE = '<script>alert("x")</script><img src=http://example.invalid/a.png onerror=alert(1)> $\\frac{1 & \'"'


def test_hostile_strings_stay_text(tmp_path: Path) -> None:
    journal = DenseJournal(contexts=(4096, 8192), device=device(name=HOSTILE, key="k" + HOSTILE), command=HOSTILE)
    first = journal.point(4096)
    assert first.sparse
    hostile_stages = [
        stage.model_copy(update={"name": HOSTILE, "impl": HOSTILE, "config": {HOSTILE: HOSTILE}})
        for stage in first.sparse.stages[:1]
    ]
    check = first.sparse.check.model_copy(update={"worst": {HOSTILE: 0.5}})
    broken = first.model_copy(
        update={
            "sparse": first.sparse.model_copy(update={"stages": hostile_stages, "check": check}),
            "eager": None,
            "gaps": {HOSTILE: HOSTILE},
            "axes": {**first.axes, HOSTILE: 3},
            "distribution": HOSTILE,
        }
    )
    records = [
        journal.header().model_copy(update={"timing_policy": {HOSTILE: HOSTILE}}),
        broken,
        loss(HOSTILE, 256),
        loss(HOSTILE, 256, synthetic=False),
    ]
    write_records(tmp_path, records)
    built = build([tmp_path], tmp_path / "out")
    page = Page(built.html)
    page.stands_alone()
    assert page.unbalanced == []
    assert page.text.count('<script>alert("x")</script>') > 8
    assert {path.name for path in built.plots} == {"cost.png", "stages.png", "memory.png", "losses.png"}
    for path in built.plots:
        with Image.open(path) as image:
            image.load()
