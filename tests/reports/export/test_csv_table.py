"""The flat tables: every row is there, columns stay what they are, and a spreadsheet finds no formula."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from dsabench.bench.journal import read_journal
from dsabench.bench.records import Status, Trial
from dsabench.kernels.registry import get_op, op_names
from dsabench.reports.export.csv_table import (
    AXES,
    TRIAL_COLUMNS,
    WINNER_COLUMNS,
    write_trials_csv,
    write_winners_csv,
)
from dsabench.reports.export.exported import ExportError
from tests.reports.journals import JournalBuilder, device, write_records


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_axis_of_every_op_has_a_column() -> None:
    assert {axis.name for op in op_names() for axis in get_op(op).axes} == set(AXES)


def test_winners_and_those_that_have_none(tmp_path: Path) -> None:
    builder = JournalBuilder(ops=("topk_select",), contexts=(4096,), failing=frozenset({("topk_select", "torch")}))
    source = read_journal(builder.write(tmp_path).parent)
    done = write_winners_csv([source], tmp_path / "winners.csv")
    rows = read(tmp_path / "winners.csv")
    assert (done.rows, done.files) == (len(rows), [tmp_path / "winners.csv"])
    assert list(rows[0]) == list(WINNER_COLUMNS)
    comparison = source.comparisons[0]
    winner = comparison.candidates[comparison.winners["cpu"].winner]
    cpu, torch = (row for row in rows if row["op"] == "topk_select")
    assert {row["state"] for row in rows} - {cpu["state"], torch["state"]} == {"untried"}, "announced in the header"
    assert float(cpu["median_s"]) == winner.median_s
    assert json.loads(cpu["config"]) == winner.config
    assert (cpu["state"], cpu["axis_s_kv"], cpu["axis_rows"], cpu["axis_b"]) == ("compared", "4096", "64", "")
    assert (cpu["source"], cpu["noise"]) == (source.header.sources["topk_select/cpu"], "0.015")
    assert (torch["state"], torch["median_s"], torch["config"]) == ("failed", "", "")
    assert "INCORRECT" in torch["note"]


def test_every_trial(tmp_path: Path) -> None:
    source = read_journal(JournalBuilder(ops=("topk_select",), contexts=(4096,)).write(tmp_path).parent)
    write_trials_csv([source], tmp_path / "trials.csv")
    rows = read(tmp_path / "trials.csv")
    assert list(rows[0]) == list(TRIAL_COLUMNS)
    assert [row["status"] for row in rows] == [trial.status.value for trial in source.trials]
    first = source.trials[0]
    assert first.timing is not None
    assert float(rows[0]["p90_s"]) == first.timing.p90_s
    pruned = next(row for row in rows if row["status"] == Status.PRUNED)
    assert (pruned["median_s"], pruned["worst"]) == ("", "")
    assert "spills" in pruned["reason"]


def test_untrusted_text_is_no_formula(tmp_path: Path) -> None:
    builder = JournalBuilder(ops=("topk_select",), contexts=(4096,), device=device('=HYPERLINK("http://x")'))
    records = [
        r.model_copy(update={"reason": "@SUM(1)", "describe": "+1"}) if isinstance(r, Trial) else r
        for r in builder.records()
    ]
    write_records(tmp_path, records)
    source = read_journal(tmp_path)
    write_winners_csv([source], tmp_path / "w.csv")
    write_trials_csv([source], tmp_path / "t.csv")
    for row in read(tmp_path / "w.csv") + read(tmp_path / "t.csv"):
        assert not [value for value in row.values() if value[:1] in ("=", "+", "@")]
    assert read(tmp_path / "w.csv")[0]["device"].startswith("'=")


def test_an_axis_of_another_version_comes_last(tmp_path: Path) -> None:
    records = JournalBuilder(ops=("topk_select",), contexts=(4096,), compare=False).records()
    changed = []
    for record in records:
        if isinstance(record, Trial):
            workload = record.workload.model_copy(update={"axes": {**record.workload.axes, "novel": 7}})
            record = record.model_copy(update={"workload": workload})
        changed.append(record)
    write_records(tmp_path, changed)
    write_trials_csv([read_journal(tmp_path)], tmp_path / "t.csv")
    rows = read(tmp_path / "t.csv")
    assert list(rows[0]) == [*TRIAL_COLUMNS, "axis_novel"]
    assert rows[0]["axis_novel"] == "7"


def test_without_trials_there_is_nothing(tmp_path: Path) -> None:
    source = read_journal(JournalBuilder(ops=(), contexts=()).write(tmp_path).parent)
    with pytest.raises(ExportError, match="no trial"):
        write_trials_csv([source], tmp_path / "t.csv")
    assert not (tmp_path / "t.csv").exists()
