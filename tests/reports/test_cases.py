"""Journals that are not a finished run on one device, and journals that mean harm."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from dsabench.bench.journal import JournalError
from dsabench.bench.records import End, Status
from dsabench.reports import build as build_module
from dsabench.reports.build import ReportError, build, build_report
from dsabench.reports.page import FULL
from tests.reports.journals import (
    JournalBuilder,
    ceilings,
    device,
    header,
    timing,
    workload_record,
    write_records,
)
from tests.reports.pages import Page


def report(directory: Path, *journals: Path) -> Page:
    return Page(build_report(list(journals) or [directory], directory / "out"))


def notices(page: Page) -> str:
    return page.labelled("ul", "Notices").text


def test_interrupted_run_shows_provisional_winners_and_says_so(tmp_path: Path, small: JournalBuilder) -> None:
    replace(small, compare=False, end=None).write(tmp_path)
    page = report(tmp_path)
    assert "has no end record: it was killed" in notices(page)
    assert "Not re-timed interleaved: 1 of 1 workloads" in notices(page)
    rows = [row for row in page.table("Table of winners") if len(row) > 1]
    untried = [row for row in rows if len(row) == 4]
    rows = [row for row in rows if len(row) == 8]
    assert len(untried) == 12
    assert len(rows) == 2
    assert len(page.tables("Winners: ")) == 7
    for row in rows:
        assert "provisional" in row[1]
        assert re.fullmatch(r"≈ 1\.\d\d× no interval yet", row[4])
    assert "No workload was re-timed yet." in page.text


def test_budget_end_and_what_it_skipped_are_shown(tmp_path: Path, small: JournalBuilder) -> None:
    replace(small, end="budget", skipped=("indexer_logits s_kv=64k: the budget ended",)).write(tmp_path)
    page = report(tmp_path)
    assert "ended early, by budget, after 4 min 50 s" in notices(page)
    assert "indexer_logits s_kv=64k: the budget ended" in page.text


def test_torn_journal_is_read_and_named(tmp_path: Path, small: JournalBuilder) -> None:
    path = small.write(tmp_path)
    with path.open("ab") as file:
        file.write(b'{"kind":"trial","numb')
    page = report(tmp_path)
    assert f"{path}: the last line was cut off" in notices(page)


def test_a_resumed_run_that_finished_has_no_notice_of_its_end(tmp_path: Path, small: JournalBuilder) -> None:
    records = small.records()
    resumed = header(small.device, started="2026-01-02T04:00:00+00:00", run_id="second")
    end = records[-1]
    assert isinstance(end, End)
    late = end.model_copy(update={"ended": "2026-01-02T04:05:00+00:00"})
    write_records(tmp_path, [*records[:-1], resumed, late])
    text = notices(report(tmp_path))
    assert "Run synthetic-run" in text
    assert "no end record" in text
    assert "Run second" not in text


def test_header_alone_has_a_report_with_nothing_claimed(tmp_path: Path) -> None:
    write_records(tmp_path, [header(device())])
    page = report(tmp_path)
    assert "No trial was finished." in notices(page)
    assert "The ceilings were not measured" in notices(page)
    rows = [row for row in page.table("Table of winners") if len(row) > 1]
    assert len(rows) == 14
    assert all("not tried" in row[3] for row in rows)
    assert not list((tmp_path / "out" / "plots").iterdir())
    assert page.unbalanced == []


def test_zero_trials_with_workloads(tmp_path: Path) -> None:
    write_records(tmp_path, [header(device()), ceilings(), workload_record("topk_select", 4096)])
    built = build([tmp_path], tmp_path / "out")
    assert (built.trials, built.plots) == (0, [])
    assert "no config passed" in Page(built.html).table("Work and rates: topk_select")[0][-1]


def test_only_failures(tmp_path: Path, small: JournalBuilder) -> None:
    broken = frozenset((op, impl) for op in small.ops for impl in small.impls)
    replace(small, failing=broken).write(tmp_path)
    page = report(tmp_path)
    rows = [row for row in page.table("Table of winners") if len(row) > 1]
    tried = [row for row in rows if "no config passed" in row[3]]
    assert len(tried) == 2
    assert "No workload has a time yet." in page.text
    assert sum(int(row[1]) for row in page.table("Trials that did not pass: sparse_mla_decode")) == 27
    assert page.unbalanced == []


def test_announced_but_unreached_ops_are_not_silently_missing(tmp_path: Path, small: JournalBuilder) -> None:
    small.write(tmp_path)
    rows = [row for row in report(tmp_path).table("Table of winners") if len(row) > 1]
    untried = [row for row in rows if "not tried" in row[3]]
    assert len(untried) == 6 * 2


def test_devices_have_sections_and_plots_of_their_own(tmp_path: Path, small: JournalBuilder) -> None:
    small.write(tmp_path / "a")
    other = device("Synthetic CPU 100", "cpu-synthetic-other")
    replace(small, device=other, scale=0.5, extra=[], number=0).write(tmp_path / "b")
    built = build([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    page = Page(built.html)
    headings = [h.text for h in page.root.all("h2")]
    assert [text for text in headings if text.startswith("Synthetic")] == ["Synthetic CPU 9000", "Synthetic CPU 100"]
    assert headings.count("Trials Synthetic CPU 100") == headings.count("topk_select Synthetic CPU 100") == 1
    assert {p.name for p in built.plots} >= {"roofline.png", "roofline-2.png", "search-2.png"}
    assert built.trials == 2 * 27
    assert len(page.ids) == len(set(page.ids))
    assert page.unbalanced == []


def test_journals_of_one_device_are_one_section_and_the_latest_comparison_counts(
    tmp_path: Path, small: JournalBuilder
) -> None:
    small.write(tmp_path / "a")
    later = replace(
        small, scale=2.0, started="2026-02-02T03:04:05+00:00", ended="2026-02-02T03:08:00+00:00", extra=[], number=0
    )
    later.write(tmp_path / "b")
    # the order on the command line does not matter
    page = report(tmp_path, tmp_path / "b", tmp_path / "a")
    assert len(page.table("Runs")) == 2
    assert "Comparisons that were measured again later: 1;" in notices(page)
    cpu = next(row for row in page.table("Table of winners") if row[0] == "4k" and row[1].startswith("cpu"))
    alone = report(tmp_path / "b", tmp_path / "b")
    assert cpu[3] == next(r for r in alone.table("Table of winners") if r[0] == "4k" and r[1].startswith("cpu"))[3]


def test_the_same_journal_twice_counts_once(tmp_path: Path, small: JournalBuilder) -> None:
    small.write(tmp_path)
    built = build([tmp_path, tmp_path / "journal.jsonl"], tmp_path / "out")
    assert built.trials == 27


def test_impossible_trial_is_drawn_and_called_an_accounting_error(tmp_path: Path, small: JournalBuilder) -> None:
    rng = random.Random(1)
    good = small.trial("sparse_mla_decode", "cpu", 4096, {"NK": 4, "BLOCK_KV": 64, "DEQUANT": "table"}, rng)
    bound = workload_record("sparse_mla_decode", 4096).roofline.bound_s
    broken = good.model_copy(
        update={
            "status": Status.IMPOSSIBLE,
            "reason": "measured below the bound",
            "timing": timing(bound / 3, rng),
            "roofline_fraction": 3.0,
        }
    )
    replace(small, extra=[broken]).write(tmp_path)
    page = report(tmp_path)
    assert re.search(r"Accounting error: sparse_mla_decode 4k .* 300 % of the bf16 roof", page.text)
    figure = next(s for s in page.root.all("svg") if s.attributes["aria-label"].startswith("Roofline"))
    assert "sparse_mla_decode 4k: accounting error" in [t.text for t in figure.all("text")]
    winner = [row for row in page.table("Table of winners") if row[0] == "4k" and row[1].startswith("cpu")]
    assert not any("300 %" in cell for row in winner for cell in row)
    assert "1 impossible" in page.labelled("ul", "Verdict: trials by status").text


def test_tie_between_implementations_is_called_one(tmp_path: Path, small: JournalBuilder) -> None:
    records = []
    for record in small.records():
        if record.kind == "comparison":
            winner = record.winners["cpu"]
            other = record.winners["torch"].winner
            candidates = list(record.candidates)
            near = candidates[winner.winner].median_s * 1.004
            candidates[other] = candidates[other].model_copy(update={"median_s": near})
            record = record.model_copy(update={"candidates": candidates, "best_is_tie": True})
        records.append(record)
    write_records(tmp_path, records)
    rows = [row for row in report(tmp_path).table("Table of winners") if row[0] == "4k"]
    assert [row[1] for row in rows] == ["cpu tie with torch", "torch tie with cpu"]


def test_default_that_ties_with_the_winner_is_no_gain(tmp_path: Path, small: JournalBuilder) -> None:
    records = []
    for record in small.records():
        if record.kind == "comparison":
            won = record.winners["cpu"]
            tied = won.model_copy(
                update={
                    "ties": [won.default],
                    "speedup_over_default": won.speedup_over_default.model_copy(
                        update={"ratio": 1.004, "low": 0.99, "high": 1.02}
                    ),
                }
            )
            record = record.model_copy(update={"winners": {**record.winners, "cpu": tied}})
        records.append(record)
    write_records(tmp_path, records)
    row = next(r for r in report(tmp_path).table("Table of winners") if r[0] == "4k" and r[1].startswith("cpu"))
    assert row[4] == "1.00× 0.990–1.02: a tie"
    assert "tie with NK=2 BLOCK_KV=64 DEQUANT=table" in row[7]


def test_default_that_did_not_pass_leaves_its_ratio_out(tmp_path: Path, small: JournalBuilder) -> None:
    records = []
    for record in small.records():
        if record.kind == "comparison":
            won = record.winners["cpu"].model_copy(update={"default": None, "speedup_over_default": None})
            record = record.model_copy(update={"winners": {**record.winners, "cpu": won}})
        records.append(record)
    write_records(tmp_path, records)
    row = next(r for r in report(tmp_path).table("Table of winners") if r[0] == "4k" and r[1].startswith("cpu"))
    assert row[4] == "– default did not pass"


HOSTILE = '<script>alert("x")</script><img src=http://example.invalid/a.png onerror=alert(1)> $\\frac{1 & \'"'


def test_hostile_strings_stay_text(tmp_path: Path, small: JournalBuilder) -> None:
    """Every string of a journal may have been written by someone else: names, reasons, commands, versions, configs."""
    builder = replace(small, device=device(name=HOSTILE, key="k" + HOSTILE), skipped=(HOSTILE,))
    first = header(builder.device, run_id=HOSTILE).model_copy(
        update={
            "command": HOSTILE,
            "git_commit": HOSTILE,
            "suite": HOSTILE,
            "versions": {HOSTILE: HOSTILE},
            "sources": {f"topk_select/{HOSTILE}": HOSTILE, HOSTILE: HOSTILE},
            "timing_policy": {HOSTILE: HOSTILE},
        }
    )
    records = []
    for record in builder.records()[1:]:
        if record.kind == "trial" and record.impl == "torch":
            record = record.model_copy(update={"impl": HOSTILE, "config": {HOSTILE: HOSTILE}})
            if record.number % 2:
                record = record.model_copy(update={"status": Status.CRASHED, "reason": HOSTILE, "timing": None})
        if record.kind == "comparison":
            candidates = [
                c.model_copy(update={"impl": HOSTILE, "config": {HOSTILE: HOSTILE}}) if c.impl == "torch" else c
                for c in record.candidates
            ]
            winners = {HOSTILE if name == "torch" else name: w for name, w in record.winners.items()}
            record = record.model_copy(update={"candidates": candidates, "winners": winners})
        records.append(record)
    write_records(tmp_path, [first, *records])
    page = report(tmp_path)
    page.stands_alone()
    assert page.unbalanced == []
    assert {row["impl"] for row in page.drawn("Trials")} == {"cpu", HOSTILE}
    assert page.text.count('<script>alert("x")</script>') > 10
    for name in ("roofline", "latency", "speedup", "search"):
        with Image.open(tmp_path / "out" / "plots" / f"{name}.png") as image:
            image.load()


def test_twenty_thousand_trials_make_a_page_of_bounded_size(tmp_path: Path) -> None:
    builder = JournalBuilder(ops=("topk_select",), contexts=(4096, 16384))
    rng = random.Random(3)
    sample = builder.trial("topk_select", "cpu", 4096, {"NK": 4, "BLOCK_KV": 64, "DEQUANT": "table"}, rng)
    late = builder.trial("topk_select", "cpu", 16384, {"NK": 4, "BLOCK_KV": 64, "DEQUANT": "table"}, rng)
    assert sample.timing is not None
    assert late.timing is not None
    many = []
    for number in range(20_000):
        base = late if number % 2 else sample
        assert base.timing is not None
        median = base.timing.median_s * (1 + rng.random())
        if number % 10 == 0:
            update = {"status": Status.CRASHED, "reason": f"{'at' * (number % 97)} {number:x}", "timing": None}
        else:
            update = {"timing": base.timing.model_copy(update={"median_s": median, "samples_s": []})}
        config = {"NK": number % 512, "BLOCK_KV": number // 512}
        many.append(base.model_copy(update={"number": number, "config": config, **update}))
    replace(builder, extra=many).write(tmp_path)
    built = build([tmp_path], tmp_path / "out")
    assert built.trials == 20_000 + 2 * 27
    assert built.html.stat().st_size < 3_000_000
    page = Page(built.html)
    failed = page.table("Trials that did not pass: topk_select")
    assert len(failed) <= 151
    assert sum(int(row[1]) for row in failed) == built.trials - built.by_status["PASSED"]
    drawn = page.drawn("Trials")
    assert len(drawn) == FULL.trials < built.trials
    assert f"{FULL.trials} of {built.trials} trials" in page.text
    fastest = min(t.timing.median_s for t in many if t.timing)
    assert pytest.approx(fastest, rel=1e-5) in [row["median_s"] for row in drawn if row["median_s"]]
    assert {row["status"] for row in drawn} == {name for name, count in built.by_status.items() if count}


def test_a_page_that_would_be_too_large_leaves_details_out_and_says_so(
    tmp_path: Path, small: JournalBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write(tmp_path)
    whole = report(tmp_path)
    monkeypatch.setattr(build_module, "LARGEST", 10_000)
    lean = report(tmp_path)
    assert len(lean.source) < len(whole.source)
    assert "Details were left out" in lean.text
    assert "Comparisons left out for size: 1;" in lean.text


def test_malformed_line_is_named(tmp_path: Path, small: JournalBuilder) -> None:
    path = small.write(tmp_path)
    lines = path.read_text().splitlines()
    lines[4] = '{"kind":"trial"}'
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(JournalError, match="line 5"):
        build_report([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unwritable_directory_is_named(tmp_path: Path, small: JournalBuilder) -> None:
    small.write(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="cannot write the report in"):
        build_report([tmp_path], tmp_path / "file" / "out")


def test_no_journal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="no journal was given"):
        build_report([], tmp_path)


def test_plots_of_an_earlier_report_do_not_outlive_it(tmp_path: Path, small: JournalBuilder) -> None:
    small.write(tmp_path / "a")
    build([tmp_path / "a"], tmp_path / "out")
    write_records(tmp_path / "b", [header(device())])
    built = build([tmp_path / "b"], tmp_path / "out")
    assert built.plots == []
    assert list((tmp_path / "out" / "plots").iterdir()) == []
