"""github-action-benchmark's list: what its `extract` reads, and names under which a curve goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dsabench.bench.journal import read_journal
from dsabench.reports.export.benchmark import write_benchmark
from dsabench.reports.export.exported import ExportError
from tests.reports.journals import JournalBuilder, device

RESULTS = Path(__file__).parents[3] / "results"


def written(folder: Path, **options: Any) -> list[dict[str, Any]]:
    builder = JournalBuilder(**{"ops": ("topk_select",), "contexts": (4096,), **options})
    write_benchmark([read_journal(builder.write(folder).parent)], folder / "b.json")
    return json.loads((folder / "b.json").read_text())


def test_entries_are_of_its_form(tmp_path: Path) -> None:
    entries = written(tmp_path)
    comparison = read_journal(tmp_path).comparisons[0]
    assert [entry["name"] for entry in entries] == [
        "topk_select/cpu rows=64 s_kv=4k k=2k deterministic=0",
        "topk_select/torch rows=64 s_kv=4k k=2k deterministic=0",
    ]
    winner = comparison.candidates[comparison.winners["cpu"].winner]
    assert set(entries[0]) == {"name", "unit", "value", "range", "extra"}
    assert entries[0]["unit"] == "us"
    assert entries[0]["value"] == pytest.approx(winner.median_s * 1e6, abs=1e-4)
    half = max(winner.high_s - winner.median_s, winner.median_s - winner.low_s) * 1e6
    assert float(entries[0]["range"].removeprefix("± ")) == pytest.approx(half, rel=1e-3)
    assert f"NK={winner.config['NK']}" in entries[0]["extra"]
    assert "of the roofline" in entries[0]["extra"]


def test_names_do_not_change_with_the_winner(tmp_path: Path) -> None:
    one, other = (
        {entry["name"] for entry in written(tmp_path / str(scale), scale=scale, compare=scale == 1.0)}
        for scale in (1.0, 3.0)
    )
    assert one == other


def test_what_failed_is_named(tmp_path: Path) -> None:
    builder = JournalBuilder(ops=("topk_select",), contexts=(4096,), failing=frozenset({("topk_select", "torch")}))
    done = write_benchmark([read_journal(builder.write(tmp_path).parent)], tmp_path / "b.json")
    assert done.rows == 1
    reasons = {each.what: each.reason for each in done.left_out}
    assert "INCORRECT" in reasons["topk_select/torch rows=64 s_kv=4k k=2k deterministic=0"]
    assert "no workload of this op was reached" in reasons["indexer_logits/cpu"]


def test_nothing_passed_is_an_error_as_it_is_for_the_action(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="nothing to export"):
        written(tmp_path, ops=())


def test_two_devices_make_no_curve(tmp_path: Path) -> None:
    journals = [
        read_journal(
            JournalBuilder(ops=("topk_select",), contexts=(4096,), device=each).write(tmp_path / each.key).parent
        )
        for each in (device(), device("Other", "cpu-other"))
    ]
    with pytest.raises(ExportError, match="cpu-synthetic-2c and cpu-other"):
        write_benchmark(journals, tmp_path / "b.json")


def test_a_committed_pipeline_against_dense(tmp_path: Path) -> None:
    (path,) = RESULTS.glob("*/*/compare-decode/journal.jsonl.gz")
    source = read_journal(path)
    write_benchmark([source], tmp_path / "b.json")
    entries = {entry["name"]: entry for entry in json.loads((tmp_path / "b.json").read_text())}
    point = source.pipelines[-1]
    assert point.sparse is not None
    name = next(n for n in entries if n.startswith(f"pipeline/sparse decode context={point.context // 1024}k "))
    assert entries[name]["value"] == pytest.approx(point.sparse.time.median_s * 1e6, abs=1e-4)
    assert "indexer: cpu" in entries[name]["extra"]
