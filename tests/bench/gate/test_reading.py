"""Reading a journal for the gate: what it leaves out, and that the rest is read as strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsabench.bench.gate.reading import read_for_gate
from dsabench.bench.journal import JournalError, read_journal
from tests.reports.journals import JournalBuilder


def written(folder: Path, **more: object) -> Path:
    return JournalBuilder(ops=("topk_select",), contexts=(4096,), **more).write(folder)  # type: ignore[arg-type]


def test_trials_that_a_comparison_stands_for_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole, read = read_journal(path), read_for_gate(path)
    assert read.trials == [t for t in whole.trials if t.is_default]
    assert len(whole.trials) > len(read.trials) > 0
    assert (read.comparisons, read.workloads, read.ends) == (whole.comparisons, whole.workloads, whole.ends)


def test_trials_without_a_comparison_are_all_read_in_their_order(tmp_path: Path) -> None:
    path = written(tmp_path, compare=False)
    assert read_for_gate(path).trials == read_journal(path).trials


def test_trials_of_an_implementation_that_dropped_out_of_the_comparison_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, failing=frozenset({("topk_select", "cpu")}))
    failed = [t for t in read_journal(path).trials if t.impl == "cpu"]
    assert [t for t in read_for_gate(path).trials if t.impl == "cpu"] == failed
    assert failed


def test_trials_after_their_comparison_are_left_out_too(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_text().splitlines()
    trial = next(line for line in lines if '"kind":"trial"' in line and '"is_default":false' in line)
    path.write_text("".join(f"{line}\n" for line in [*lines, trial]))
    assert all(t.is_default for t in read_for_gate(path).trials)


@pytest.mark.parametrize("kind", ["header", "comparison", "trial", "end"])
def test_a_line_that_is_read_is_read_strictly(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, compare=kind == "comparison")
    lines = path.read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if f'"kind":"{kind}"' in line)
    lines[number] = lines[number][:-1] + ',"more":1}'
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(JournalError, match=f"line {number + 1}: .*more"):
        read_for_gate(path)


def test_a_torn_line_and_an_empty_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    with path.open("a") as file:
        file.write('{"kind":"trial","number":1,"op":"topk_select","impl":"cpu","workload":{"key":"1"')
    assert read_for_gate(path.parent).torn
    path.write_text("")
    with pytest.raises(JournalError, match="holds no whole line"):
        read_for_gate(path)
