from __future__ import annotations

import gzip
import subprocess
import sys

from dsabench.bench.journal import read_journal
from tests.benchmarks.loading import load
from tests.reports import journals as made

hopper = load("hopper")


def test_what_was_measured_is_packed_by_device_date_and_commit(tmp_path) -> None:
    out = tmp_path / "run"
    made.write_records(out / "tune", [made.header(made.device("NVIDIA H100 80GB HBM3", "cuda-h100-132sm"))])
    (out / "verified.jsonl").write_text('{"op": "topk_select"}\n')
    (out / "doctor.json").touch()
    (out / "tune" / "worker.log").write_text("noise")
    target = hopper.pack(out, tmp_path / "results")
    assert target == tmp_path / "results" / "cuda-h100-132sm" / "2026-01-02-0123456"
    assert sorted(str(p.relative_to(target)) for p in target.rglob("*") if p.is_file()) == [
        "tune/journal.jsonl.gz",
        "verified.jsonl.gz",
    ], "no log, and nothing of a step that measured nothing"
    assert read_journal(target / "tune" / "journal.jsonl.gz").header.device.key == "cuda-h100-132sm"
    assert gzip.decompress((target / "verified.jsonl.gz").read_bytes()) == (out / "verified.jsonl").read_bytes()


def test_a_run_that_measured_nothing_packs_nothing(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    assert hopper.pack(tmp_path / "run", tmp_path / "results") is None
    assert not (tmp_path / "results").exists()


def test_a_step_that_takes_too_long_is_asked_to_stop() -> None:
    step = hopper.Step("verify", (), 1.0, False)
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert hopper.finished(process, step, 0.2) != 0
    assert process.poll() is not None
