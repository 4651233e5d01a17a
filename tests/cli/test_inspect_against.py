"""`dsabench inspect --against` as a user runs it, on a synthetic journal of a GPU: its configs are compiled for real."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from dsabench.autotune.predict.constants import NAMES
from dsabench.cli.app import run
from tests.autotune.predict import gpu_journal
from tests.cli import in_process
from tests.cli.in_process import Done
from tests.reports.journals import JournalBuilder

NUMBERS = (5, 3)
"""Configs of the two indexers that are compiled: as many as a refit needs."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


def against(cache: str, *words: str) -> Done:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"COLUMNS": "100", "DSABENCH_CACHE_DIR": cache}
    return in_process.dsabench("inspect", "--against", *words, environment=environment)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    timed = gpu_journal.trials(NUMBERS)
    old = timed[0].model_copy(update={"source": "0" * 12})
    path = gpu_journal.write(tmp_path_factory.mktemp("gpu"), [*timed, old])
    packed = path.with_suffix(".jsonl.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


def test_json_and_tables(cache: str, packed: Path) -> None:
    done = against(cache, str(packed), "--jobs", "1", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["schema"], document["command"], document["against"]) == (1, "inspect", str(packed))
    assert document["machine"]["name"] == "Synthetic H100"
    assert document["machine"]["basis"] == "measured ceilings"
    assert document["machine"]["clock_hz"] == gpu_journal.CLOCK_MHZ * 1e6
    assert document["left_out"] == {"of another version of the kernel's source": 1}
    assert [(pair["op"], pair["impl"], pair["configs"]) for pair in document["pairs"]] == [
        ("indexer_logits", "triton", 5),
        ("paged_indexer_logits", "triton", 3),
    ]
    for pair in document["pairs"]:
        assert set(pair["shipped"]["regret"]) == {"1", "3", "10"}
        assert -1 <= pair["shipped"]["correlation"] <= 1
    assert document["fit"]["configs"] == 8
    assert tuple(document["fit"]["shipped"]) == tuple(document["fit"]["refitted"]) == NAMES
    assert document["fit"]["factor_after"] <= document["fit"]["factor_before"]
    assert len(document["fit"]["left_out_correlation"]) == 2
    times = [row["measured_s"] for row in document["rows"]]
    assert times == [trial.timing.median_s for trial in gpu_journal.trials(NUMBERS) if trial.timing]
    bounds = {"indexer_logits": 2 * 4096 * 14336 * 64 * 128 / 1500e12, "paged_indexer_logits": 64 * 32768 * 132 / 3e12}
    assert all(row["predicted_s"] > bounds[row["op"]] for row in document["rows"])
    assert len({row["predicted_s"] for row in document["rows"]}) > 3

    table = against(cache, str(packed))
    assert table.returncode == 0, table.stderr
    assert "8 configs timed on Synthetic H100" in table.stdout
    assert "left out: 1 trial of another version of the kernel's source" in table.stdout
    assert "tensor_efficiency" in table.stdout
    assert "fitted without indexer_logits/triton" in table.stdout


def test_what_cannot_be_compared_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cpu = JournalBuilder(ops=("topk_select",)).write(tmp_path)
    two = gpu_journal.write(tmp_path / "two", gpu_journal.trials()[:2])
    broken = tmp_path / "broken.jsonl.gz"
    broken.write_bytes(b"no journal")
    cases = [
        ([str(tmp_path / "missing.jsonl")], 1, "cannot read journal"),
        ([str(broken)], 1, "cannot read journal"),
        ([str(cpu)], 1, "was measured on a CPU"),
        ([str(two)], 1, "fewer than 3"),
        ([str(two), "--config", "BLOCK_Q=4"], 2, "takes its configs from the journal"),
        ([str(two), "--chip", "h99"], 2, "unknown chip 'h99'"),
    ]
    for words, code, message in cases:
        assert run(["inspect", "--against", *words]) == code, words
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
        assert err.count("\n") == 1
