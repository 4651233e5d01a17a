"""`dsabench tune --device cuda` whole, in real processes, on a machine whose GPU is simulated at the worker's boundary."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dsabench.bench.journal import read_journal
from dsabench.bench.records import Status
from tests.autotune import simulated_machine as simulated
from tests.homes import own_environment

ROOT = Path(__file__).parents[2]
PLUGIN = str(Path(__file__).with_name("simulated_gpu_plugin.py"))


def on_the_gpu(cache: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.autotune.simulated_machine", *words],
        capture_output=True,
        text=True,
        env=own_environment(cache),
        cwd=ROOT,
        timeout=250,
    )


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    base = tmp_path_factory.mktemp("gpu")
    done = on_the_gpu(
        base, "tune", "--device", "cuda", "--suite", "tiny", "--op", "topk_select", "--impl", "gpu", "--plugin", PLUGIN,
        "--strategy", "exhaustive", "--budget", "120s", "--trial-timeout", "4s", "--out", str(base / "out"), "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return base / "out", json.loads(done.stdout)


def test_each_fault_of_a_gpu_ends_as_its_status_and_the_run_goes_on(faults) -> None:
    out, document = faults
    journal = read_journal(out)
    trials = {t.config["FAULT"]: t for t in journal.trials if t.impl == "gpu"}
    assert {fault: trial.status for fault, trial in trials.items()} == {
        "none": Status.PASSED,
        "illegal": Status.CRASHED,
        "hangs": Status.TIMEOUT,
        "memory": Status.OUT_OF_MEMORY,
        "refused": Status.LAUNCH_ERROR,
        "throttled": Status.PASSED,
    }
    assert "illegal memory access" in trials["illegal"].reason
    assert "\n" not in trials["illegal"].reason
    assert document["end"] == "complete"
    assert document["winners"], "a winner in spite of it all"


def test_after_a_lost_context_the_next_trial_has_a_fresh_worker(faults) -> None:
    """Otherwise every trial after the illegal access would fail with it, as on a GPU."""
    out, _ = faults
    trials = [t for t in read_journal(out).trials if t.impl == "gpu"]
    after = trials[[t.config["FAULT"] for t in trials].index("illegal") + 1 :]
    assert after
    assert all("illegal" not in t.reason for t in after)


def test_the_journal_is_the_gpus(faults) -> None:
    out, document = faults
    journal = read_journal(out)
    assert journal.header.device.type == "cuda"
    assert journal.header.device.name == simulated.NAME
    assert journal.header.effort == "quick"
    assert "three times the L2" in journal.header.timing_policy["inputs"]
    assert "GPU-" not in (out / "journal.jsonl").read_text(), "no UUID is ever written down"
    assert document["device"]["key"] == "cuda-simulated-132sm"
    assert journal.ceilings[0].gather["656"].value == 3e12


def test_samples_taken_while_the_clock_was_held_down_are_kept_and_marked(faults) -> None:
    out, _ = faults
    trials = {t.config["FAULT"]: t for t in read_journal(out).trials if t.impl == "gpu"}
    timing = trials["throttled"].timing
    assert timing is not None
    assert timing.conditions is not None
    assert timing.conditions.throttled == {"sw_power_cap": timing.n}
    assert trials["throttled"].warm is not None
    assert trials["throttled"].warm.inputs == "warm"
    clean = trials["none"].timing
    assert clean is not None
    assert clean.conditions is not None
    assert clean.conditions.throttled == {}


def test_its_report_can_be_read(faults) -> None:
    out, _ = faults
    page = (out / "report.html").read_text()
    assert simulated.NAME in page


def test_the_winners_are_installed_for_that_gpu_alone(faults) -> None:
    out, document = faults
    entries = json.loads((out / "tuned.json").read_text())["entries"]
    assert {e["device"] for e in entries} == {"cuda-simulated-132sm"}
    assert "triton" in entries[0]["versions"]
    assert document["installed"].endswith("cuda-simulated-132sm.json")


def test_a_gpu_that_another_dsabench_holds_is_refused_in_one_line(tmp_path, monkeypatch) -> None:
    from dsabench.bench.gpu.busy import GpuLock
    from dsabench.bench.gpu.selection import visible_gpus

    simulated.pretend(monkeypatch.setattr)
    words = ("--device", "cuda", "--suite", "tiny", "--op", "topk_select", "--plugin", PLUGIN)
    with GpuLock(visible_gpus()[0], "dsabench tune --out elsewhere"):
        done = on_the_gpu(tmp_path, "tune", *words, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "in use by another dsabench" in done.stderr
    assert "dsabench tune --out elsewhere" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "journal.jsonl").exists()


def test_configs_that_are_compiled_ahead_are_pruned_and_the_others_have_a_prediction(tmp_path) -> None:
    done = on_the_gpu(
        tmp_path, "tune", "--device", "cuda", "--suite", "tiny", "--op", "topk_select", "--impl", "compiled", "--plugin", PLUGIN,
        "--budget", "60s", "--out", str(tmp_path / "out"), "--no-report",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    trials = {t.config["TILE"]: t for t in read_journal(tmp_path / "out").trials if t.impl == "compiled"}
    assert trials[64].status is Status.PASSED
    assert trials[64].predicted_s is not None
    assert trials[256].status is Status.PRUNED
    assert trials[512].status is Status.PRUNED
    assert trials[512].predicted_s is None, "what cannot launch takes no time"
    kept = list((tmp_path / "triton").rglob("*.cubin"))
    assert kept, "what was compiled ahead stands in the cache that the worker loads from"
