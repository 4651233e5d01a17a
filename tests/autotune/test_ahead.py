"""Compiling ahead of the trials: what the machine code rules out never reaches the device, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsabench.bench.journal import read_journal
from dsabench.bench.records import Status
from tests.cli import in_process
from tests.homes import own_environment

pytest.importorskip("triton")
PLUGIN = str(Path(__file__).parent / "planned_plugin.py")


def tune(base: Path, **environment: str):
    words = (
        "--suite", "tiny", "--op", "topk_select", "--no-report", "--plugin", PLUGIN, "--impl", "planned", "--budget", "90s",
        "--out", "out",
    )  # fmt: skip
    done = in_process.dsabench("tune", *words, environment=own_environment(base) | environment, cwd=base)
    assert done.returncode == 0, done.stderr
    trials = [t for t in read_journal(base / "out").trials if t.impl == "planned"]
    return done, {t.config["TILE"]: (t.status, t.reason) for t in trials}


def test_configs_are_pruned_by_their_machine_code_with_the_reason_in_the_journal(tmp_path):
    done, trials = tune(tmp_path)
    assert trials[64] == (Status.PASSED, "")
    status, reason = trials[256]
    assert status is Status.PRUNED
    assert reason.startswith("spills in the main loop")
    status, reason = trials[512]
    assert status is Status.PRUNED
    assert reason.startswith("cannot launch: product: ")
    assert "shared memory" in reason
    assert "not pruned" not in done.stdout


def test_a_missing_tool_costs_the_pruning_not_the_run(tmp_path):
    done, trials = tune(tmp_path, TRITON_CUOBJDUMP_PATH=str(tmp_path / "none"))
    assert {status for status, _ in trials.values()} == {Status.PASSED}
    assert set(trials) == {64, 256, 512}
    assert "configs were not pruned by their machine code: cuobjdump not found" in done.stdout
