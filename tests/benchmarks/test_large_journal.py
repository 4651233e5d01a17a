from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from dsabench.bench.journal import Journal, read_journal
from dsabench.bench.records import Comparison
from tests.benchmarks.loading import load

large_journal = load("large_journal")
OPS = ("topk_select", "dense_mla_decode")


@pytest.fixture(scope="module")
def source() -> list[dict[str, Any]]:
    with gzip.open(large_journal.SOURCE, "rt") as file:
        lines = [json.loads(line) for line in file]
    return [line for line in lines if line.get("workload", {"op": OPS[0]})["op"] in OPS]


@pytest.fixture(scope="module")
def of_source(source) -> int:
    """Trials in it."""
    return sum(line["kind"] == "trial" for line in source)


@pytest.fixture(scope="module")
def journals(source, of_source, tmp_path_factory) -> list[Journal]:
    folder = tmp_path_factory.mktemp("large")
    made = []
    repeats = large_journal.TRIALS_A_WORKLOAD
    for name, trials, seed, slowed in (("short", of_source, 1, 1.0), ("long", of_source * (repeats + 1), 2, 1.15)):
        path = folder / name / "journal.jsonl"
        large_journal.write(path, large_journal.draw(source, trials, seed, slowed))
        made.append(read_journal(path))
    return made


def test_it_is_a_journal_of_as_many_different_trials(journals: list[Journal], of_source: int) -> None:
    large = journals[1]
    assert [t.number for t in large.trials] == list(range(of_source * (large_journal.TRIALS_A_WORKLOAD + 1)))
    first = next(t for t in large.trials if not t.is_default)
    again = [large.trials[i * of_source + first.number] for i in range(large_journal.TRIALS_A_WORKLOAD)]
    assert len({json.dumps(t.config) for t in again}) == len(again)
    times = [t.timing.median_s for t in large.trials if t.timing]
    assert len(set(times)) > 0.99 * len(times)


def test_later_trials_are_of_longer_contexts_with_comparisons_of_their_own(journals: list[Journal]) -> None:
    large = journals[1]
    assert len(large.workloads) == len(large.comparisons) == 2 * len(journals[0].workloads)
    assert {c.workload.key for c in large.comparisons} == set(large.workloads)
    contexts = {w.workload.axes["s_kv"] for w in large.workloads.values()}
    assert {4096, 4096 + large_journal.CONTEXT_STEP} <= contexts


def winner_s(comparison: Comparison, impl: str) -> float:
    return comparison.candidates[comparison.winners[impl].winner].median_s


def test_only_the_slowed_implementation_is_slower(journals: list[Journal]) -> None:
    before = {c.workload.key: c for c in journals[0].comparisons}
    for after in journals[1].comparisons:
        if after.workload.key not in before:
            continue
        for impl in after.winners:
            slowed = (after.workload.op, impl) == large_journal.SLOWED
            ratio = winner_s(after, impl) / winner_s(before[after.workload.key], impl)
            assert ratio == pytest.approx(1.15 if slowed else 1.0, rel=0.03)


def test_a_command_is_timed_with_its_exit_code_and_memory(tmp_path, capfd) -> None:
    taken = large_journal.timed(["report", str(tmp_path / "none")])
    assert taken.exit_code == 2
    assert taken.peak_bytes > 10e6
    assert "does not exist" in capfd.readouterr().err
