from __future__ import annotations

from pathlib import Path

import pytest

from dsabench.autotune.confirm import Entry, comparison
from tests.benchmarks.loading import load
from tests.reports import journals as made

agreement = load("agreement")


def run(directory: Path, medians: dict[int, float], context: int = 4096, key: str = "cpu-a") -> Path:
    """A journal with one confirmed workload: config TILE=n took medians[n] seconds, scattered by 0.4 %."""
    entries = [Entry("cpu", {"TILE": n}, n == 1, seconds) for n, seconds in medians.items()]
    rounds = [[s * (1 + 0.002 * ((3 * i + n) % 5 - 2)) for i in range(15)] for n, s in enumerate(medians.values())]
    twin = min(range(len(entries)), key=lambda n: entries[n].median_s)
    second = [seconds * 1.001 for seconds in rounds[twin]]
    found = comparison(made.workload_id("topk_select", context), entries, rounds, second, twin, 1e-6, 0, "now", 1.0)
    made.write_records(directory, [made.header(made.device(key=key)), found])
    return directory


def outcome(tmp_path: Path, capsys: pytest.CaptureFixture[str], one: dict[int, float], two: dict[int, float]):
    code = agreement.main(run(tmp_path / "one", one), run(tmp_path / "two", two))
    return code, capsys.readouterr().out


def test_the_same_winner_agrees(tmp_path, capsys) -> None:
    code, text = outcome(tmp_path, capsys, {1: 2e-3, 2: 1e-3}, {1: 1.9e-3, 2: 1.1e-3})
    assert code == 0
    assert "1 same" in text


def test_a_winner_that_the_other_run_cannot_tell_from_its_own_is_a_tie(tmp_path, capsys) -> None:
    code, text = outcome(tmp_path, capsys, {1: 2e-3, 2: 1.0e-3, 3: 1.0005e-3}, {1: 2e-3, 2: 1.0e-3, 3: 0.9e-3})
    assert code == 0
    assert "1 tie" in text


def test_winners_that_both_runs_tell_apart_differ(tmp_path, capsys) -> None:
    code, text = outcome(tmp_path, capsys, {1: 2e-3, 2: 1.0e-3, 3: 1.3e-3}, {1: 2e-3, 2: 1.3e-3, 3: 1.0e-3})
    assert code == 1
    assert "1 differ" in text
    assert "TILE=2" in text
    assert "TILE=3" in text


def test_runs_of_different_devices_or_without_a_common_workload_are_no_answer(tmp_path) -> None:
    one = run(tmp_path / "one", {1: 1e-3})
    assert agreement.main(one, run(tmp_path / "other_device", {1: 1e-3}, key="cpu-b")) == 2
    assert agreement.main(one, run(tmp_path / "other_workload", {1: 1e-3}, context=8192)) == 2
