"""What a self-test counts, from runs made up with known verdicts."""

from __future__ import annotations

from collections import Counter

import pytest

from dsabench.bench.gate.records import RowVerdict, Verdict
from dsabench.bench.gate.self_test import (
    SelfTestRow,
    SelfTestRun,
    is_calibrated,
    levels_of,
    planned_runs,
    read_runs,
    smallest_found,
)


def run(slow_by, slower, rows=7, verdict=None, unclear=0):
    verdicts = [RowVerdict.SLOWER] * slower + [RowVerdict.UNCLEAR] * unclear
    verdicts += [RowVerdict.SAME] * (rows - len(verdicts))
    return SelfTestRun(
        slow_by=slow_by,
        verdict=verdict or (Verdict.REGRESSED if slower else Verdict.PASS),
        reason="",
        wall_s=1.0,
        started="",
        commit="",
        rows=[SelfTestRow(name=str(i), verdict=v, ratio=1.0, noise=0.01, passes=2) for i, v in enumerate(verdicts)],
    )


def test_planned_runs_are_mixed_and_those_done_are_not_made_again():
    planned = planned_runs(50, {0.05: 20}, [run(0.0, 0)] * 30 + [run(0.05, 0)] * 25, seed=0)
    assert Counter(planned) == {0.0: 20}
    mixed = planned_runs(50, {0.05: 20}, [], seed=0)
    assert Counter(mixed) == {0.0: 50, 0.05: 20}
    assert mixed != sorted(mixed)
    assert mixed == planned_runs(50, {0.05: 20}, [], seed=0)


def test_levels_count_rows_and_runs():
    quiet, loud = levels_of([run(0.05, 7), run(0.0, 0, unclear=2), run(0.0, 1), run(0.05, 6)])
    assert (quiet.slow_by, quiet.runs, quiet.rows, quiet.slower, quiet.unclear, quiet.regressed) == (
        0.0,
        2,
        14,
        1,
        2,
        1,
    )
    assert (loud.rows, loud.slower) == (14, 13)
    low, high = loud.interval
    assert low < 13 / 14 < high


def test_rows_without_times_are_no_evidence():
    broken = run(0.0, 0)
    broken = broken.model_copy(update={"rows": [r.model_copy(update={"ratio": None}) for r in broken.rows]})
    (level,) = levels_of([broken])
    assert level.rows == 0
    assert not is_calibrated([level])


@pytest.mark.parametrize(("slower", "calibrated"), [((0, 0), True), ((1, 0), False), ((7, 0), False)])
def test_a_gate_is_calibrated_without_a_false_regression(slower, calibrated):
    assert is_calibrated(levels_of([run(0.0, count, rows=100) for count in slower])) is calibrated


def test_nothing_of_the_same_code_is_no_calibration():
    assert not is_calibrated(levels_of([run(0.05, 7)]))


def test_the_smallest_found_has_no_larger_that_was_missed():
    def found(**shares):
        return smallest_found(levels_of([run(float(by[1:]) / 100, n, rows=100) for by, n in shares.items()]))

    assert found(_1=5, _3=60, _5=96, _10=100) == 0.05
    assert found(_1=100, _3=60, _5=96, _10=100) == 0.05
    assert found(_5=100, _10=90) is None
    assert found(_0=0) is None


def test_runs_come_back_and_a_torn_line_does_not(tmp_path):
    path = tmp_path / "runs.jsonl"
    assert read_runs(path) == []
    line = run(0.05, 7).model_dump_json() + "\n"
    path.write_text(line + line + line[:40])
    assert read_runs(path) == [run(0.05, 7)] * 2
    path.write_text("nonsense\n" + line)
    with pytest.raises(ValueError, match="line 1"):
        read_runs(path)
