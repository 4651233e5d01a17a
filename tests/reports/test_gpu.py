"""A GPU's tuning run in the report: vendor's figures, state, cold against warm, predictions. All numbers are synthetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from scipy.stats import spearmanr

from dsabench.autotune.predict.ranking import rank
from dsabench.bench.journal import read_journal
from dsabench.bench.records import Status, Trial
from dsabench.reports.build import build
from dsabench.reports.figures import predicted
from dsabench.reports.gpu.conditions import gpu_state
from dsabench.reports.gpu.predictions import predicted_ops, rank_correlation
from dsabench.reports.quantities import format_ratio, format_time
from dsabench.reports.sections import Section, sections_of
from tests.reports.conftest import Report
from tests.reports.gpu_journals import GpuJournal
from tests.reports.journals import write_records
from tests.reports.pages import Page

SMALL = GpuJournal(ops=("topk_select",), contexts=(4096,))


def section_of(directory: Path, journal: GpuJournal) -> Section:
    return sections_of([read_journal(journal.write(directory))])[0]


def page_of(directory: Path, journal: GpuJournal) -> Page:
    journal.write(directory)
    return Page(build([directory], directory / "out").html)


def headings(page: Page) -> list[str]:
    return [h.text for h in page.root.all("h3")]


class TestCeilings:
    def test_stand_beside_the_vendors_figures(self, gpu_report: Report) -> None:
        rows = {row[0]: row for row in gpu_report.page.table("Ceilings")}
        assert rows["fp8 products"][1:3] == ["1.42 PFLOP/s (1.40 PFLOP/s)", "72 % of 1.98 PFLOP/s"]
        assert rows["bf16 products"][2] == "77 % of 989 TFLOP/s"
        assert rows["copy bandwidth"][2] == "89 % of 3.35 TB/s"
        assert "the vendor's figures are for H100 SXM" in gpu_report.page.text

    def test_of_gathers_are_no_bound(self, gpu_report: Report) -> None:
        rows = {row[0]: row for row in gpu_report.page.table("Ceilings")}
        assert rows["gather of 656-byte rows"][1:3] == ["5.10 TB/s (5.00 TB/s)", "–"]
        assert rows["gather of 1152-byte rows"][3].endswith("from the last-level cache: no bound on compulsory bytes")

    def test_without_a_vendor_have_three_columns(self, full: Report) -> None:
        assert {len(row) for row in full.page.table("Ceilings")} == {3}


class TestState:
    def test_counts_samples_by_reason_and_regime(self, tmp_path: Path) -> None:
        journal = replace(SMALL, throttle_every=4, host_bound=2)
        section = section_of(tmp_path, journal)
        state = gpu_state(section)
        assert state is not None
        timed = [trial for trial in section.trials if trial.timing]
        slowed = [trial for trial in timed if trial.number % 4 == 0]
        total = state.total
        assert (total.trials, total.samples) == (len(timed), 24 * len(timed))
        assert total.throttled == {"sw_power_cap": 7 * len(slowed)}
        assert state.throttled_trials == len(slowed) > 0
        assert (total.host_bound, state.host_bound_trials) == (4, 2)
        assert sum(total.regimes.values()) == len(timed)
        assert set(total.regimes) == {"burst", "sustained"}
        assert total.sm_mhz
        assert (total.sm_mhz.low, total.sm_mhz.high) == (1740.0, 1980.0)
        assert [(row.op, row.impl) for row in state.rows] == [
            ("topk_select", "cpu"),
            ("topk_select", "torch"),
            ("all", ""),
        ]

    def test_is_shown_by_implementation(self, gpu_report: Report) -> None:
        rows = gpu_report.page.table("The GPU while it was timed")
        everything = rows[-1]
        assert everything[0] == "all"
        assert everything[4] == "1980 MHz 1740–1980"
        assert everything[7] == "48 °C 41–57"
        assert everything[8].endswith("sw_power_cap")
        assert everything[9].startswith("2 of ")
        assert sum(int(row[2].split()[0]) for row in rows[:-1]) == int(everything[2].split()[0])
        assert "With samples in which the GPU waited for the host: 1." in gpu_report.page.text

    def test_is_left_out_without_conditions(self, tmp_path: Path) -> None:
        page = page_of(tmp_path, replace(SMALL, conditions=False, host_bound=0))
        assert "The GPU while it was timed" not in headings(page)
        assert "Regime, throttled, host-bound" not in [dt.text for dt in page.root.all("dt")]

    def test_without_nvml_still_tells_of_host_bound_samples(self, tmp_path: Path) -> None:
        page = page_of(tmp_path, replace(SMALL, conditions=False, host_bound=1))
        row = page.table("The GPU while it was timed")[-1]
        assert row[3:8] == ["not read", "–", "–", "–", "–"]
        assert row[9].startswith("2 of ")
        assert "none with a reading of the GPU's state" in page.text


class TestWarm:
    def test_stands_beside_cold_for_every_winner(self, gpu_report: Report) -> None:
        rows = gpu_report.page.table("Cold and warm")
        winners = [row for row in gpu_report.page.table("Table of winners") if len(row) == 8]
        assert len(rows) == len(winners) == 2 * 2 * 2
        assert all(row[4] == f"≈ {format_ratio(1.25)}" for row in rows)

    def test_times_are_those_of_the_winners_trial(self, tmp_path: Path) -> None:
        section = section_of(tmp_path, SMALL)
        comparison = next(iter(section.comparisons.values()))
        won = comparison.candidates[comparison.winners["cpu"].winner]
        trial = next(t for t in section.trials if t.impl == "cpu" and t.config == won.config)
        assert trial.timing
        assert trial.warm
        row = Page(build([tmp_path], tmp_path / "out").html).table("Cold and warm")[0]
        assert row[2].startswith(format_time(trial.timing.median_s))
        assert row[3].startswith(format_time(trial.warm.median_s))

    def test_is_left_out_without_warm_timings(self, tmp_path: Path) -> None:
        assert "Cold and warm" not in headings(page_of(tmp_path, replace(SMALL, warm=False)))


class TestPredictions:
    def test_correlation_is_spearmans_within_a_workload(self, tmp_path: Path) -> None:
        section = section_of(tmp_path, replace(SMALL, contexts=(4096, 65536)))
        ops = {op.impl: op for op in predicted_ops(section)}
        cpu = ops["cpu"]
        assert cpu.workloads == 2
        expected = []
        for key in section.workloads:
            found = [t for t in section.trials if t.workload.key == key and t.impl == "cpu" and t.timing]
            result = spearmanr([t.predicted_s for t in found], [t.timing.median_s for t in found if t.timing])
            expected.append(float(result.statistic))
        assert sorted(cpu.correlations) == pytest.approx(sorted(expected))
        assert len(cpu.points) == sum(t.impl == "cpu" and t.timing is not None for t in section.trials)

    @pytest.mark.parametrize(
        ("points", "expected"),
        [
            ([(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)], 1.0),
            ([(1.0, 30.0), (2.0, 20.0), (3.0, 10.0)], -1.0),
            ([(1.0, 10.0), (1.0, 20.0), (1.0, 30.0)], None),
            ([(1.0, 10.0), (2.0, 20.0)], None),
        ],
    )
    def test_rank_correlation(self, points: list[tuple[float, float]], expected: float | None) -> None:
        assert rank_correlation(points) == (expected if expected is None else pytest.approx(expected))

    def test_agrees_with_inspect_against(self) -> None:
        points = [(1.0, 3.0), (2.0, 2.5), (3.0, 7.0), (4.0, 6.0), (5.0, 9.0)]
        theirs = rank([p for p, _ in points], [m for _, m in points]).correlation
        assert rank_correlation(points) == pytest.approx(theirs)

    def test_full_effort_counts_over_a_cheaper_rung(self, tmp_path: Path) -> None:
        records = SMALL.records()
        full = next(r for r in records if isinstance(r, Trial) and r.status is Status.PASSED)
        assert full.timing
        cheap = full.model_copy(
            update={"rung": 2, "number": 900, "timing": full.timing.model_copy(update={"median_s": 1.0})}
        )
        write_records(tmp_path, [*records[:-1], cheap, records[-1]])
        section = sections_of([read_journal(tmp_path)])[0]
        measured = [m for op in predicted_ops(section) for _, m in op.points]
        assert full.timing.median_s in measured
        assert 1.0 not in measured

    def test_are_drawn_with_the_line_of_equality(self, gpu_report: Report) -> None:
        figures = [s for s in gpu_report.page.root.all("svg") if s.attributes["aria-label"].startswith("Predicted")]
        assert [svg.attributes["class"] for svg in figures] == ["wide", "narrow"]
        for svg in figures:
            words = [text.text for text in svg.all("text")]
            assert "predicted = measured" in words
            assert any(word.startswith("sparse_mla_decode, cpu: rank correlation 0.") for word in words)
        rows = gpu_report.page.table("Predicted and measured")
        assert rows[0][:2] == ["sparse_mla_decode", "cpu"]
        assert "predicted.png" in {path.name for path in gpu_report.built.plots}

    def test_many_are_thinned(self, tmp_path: Path) -> None:
        op = predicted_ops(section_of(tmp_path, SMALL))[0]
        many = replace(op, points=op.points * 500)
        assert 0.5 * predicted.MOST_DOTS < len(predicted.shown(many, [many])) <= predicted.MOST_DOTS

    def test_are_left_out_where_nothing_was_predicted(self, tmp_path: Path) -> None:
        page = page_of(tmp_path, replace(SMALL, predicted=False))
        assert "Predicted and measured" not in headings(page)
        assert not (tmp_path / "out" / "plots" / "predicted.png").exists()
