"""What only a real GPU can show of the measuring. In processes of their own: this one interprets Triton's kernels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dsabench.bench.journal import read_journal
from dsabench.bench.records import Status

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

_MEASURE = """
import json
import torch
from dsabench.bench.gpu.ceilings import gather_launch, measure_gpu_ceilings
from dsabench.bench.gpu.clocks import Backlog, EventClock
from dsabench.bench.gpu.flush import GpuFlush
from dsabench.bench.gpu.measuring import gpu_parts
from dsabench.bench.gpu.spin import GpuSpin
from dsabench.bench.gpu.stream import TorchStream
from dsabench.bench.selfcheck import run_selfcheck

gpu = torch.device("cuda")
l2_bytes = torch.cuda.get_device_properties(0).L2_cache_size
stream = TorchStream()
clock = EventClock(stream, Backlog(stream))
spin = GpuSpin(gpu)
spin(3e-3)
table = torch.randint(-(2**31), 2**31, (1000, 164), dtype=torch.int32, device=gpu)
rows = torch.randint(0, 1000, (2**14,), dtype=torch.int32, device=gpu)
gather = gather_launch(table, rows, chunks=1024, warps=4)
gather.run()
print(json.dumps({
    "elapsed_s": spin.elapsed_s(),
    "checks": {c.name: c.model_dump() for c in run_selfcheck(gpu_parts(clock, GpuFlush(3 * l2_bytes), l2_bytes))},
    "ceilings": measure_gpu_ceilings(0.3, l2_bytes, clock).model_dump(),
    "gather": [int(each.sum()) % 2**32 for each in (gather.arguments["sums_ptr"], table[rows.long()].long())],
}))
"""

_READ_OUTSIDE = """
import json
import torch
from dsabench.bench.gpu.ceilings import gather_launch
from dsabench.bench.gpu.faults import cuda_fault

table = torch.zeros((5, 164), dtype=torch.int32, device="cuda")
rows = torch.full((2**14,), 12_000_000, dtype=torch.int32, device="cuda")  # 8 GB past the table
try:
    gather_launch(table, rows, chunks=1024, warps=4).run()
    torch.cuda.synchronize()
except Exception as error:
    fault = cuda_fault(error)
    print(json.dumps({"status": fault.status, "reason": fault.reason, "lost": fault.lost}))
"""


def on_gpu(script: str) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    return on_gpu(_MEASURE)


@pytest.mark.parametrize("name", ["spin 0.2 ms", "spin 1 ms", "spin 10 ms"])
def test_a_spin_is_timed_within_a_hundredth(measured: dict[str, Any], name: str) -> None:
    check = measured["checks"][name]
    assert check["verdict"] == "ok", check["text"]


def test_a_spin_lasts_what_it_is_told_by_the_timer_itself(measured: dict[str, Any]) -> None:
    assert 3e-3 <= measured["elapsed_s"] < 3.01e-3


@pytest.mark.parametrize("name", ["flush", "rotation"])
def test_cold_is_cold(measured: dict[str, Any], name: str) -> None:
    check = measured["checks"][name]
    assert check["verdict"] == "ok", check["text"]


def test_the_gather_reads_every_word_of_its_rows(measured: dict[str, Any]) -> None:
    kernel, torch_sum = measured["gather"]
    assert kernel == torch_sum


def test_ceilings_are_near_what_the_vendor_says(measured: dict[str, Any]) -> None:
    ceilings = measured["ceilings"]
    vendor = ceilings["vendor"]
    if vendor is None:
        pytest.skip("no vendor's figures of this chip")
    for rate in ceilings["bandwidth"].values():
        assert 0.5 * vendor["bandwidth"] < rate["value"] <= 1.1 * vendor["bandwidth"], rate["method"]
    for name, rate in ceilings["product"].items():
        assert 0.5 * vendor["product"][name] < rate["value"] <= 1.1 * vendor["product"][name], rate["method"]
    for rate in ceilings["gather"].values():
        assert rate["value"] > ceilings["bandwidth"]["read"]["value"], (
            "rows left in the L2 come faster than from memory"
        )


def test_an_illegal_access_is_a_crash_that_costs_the_process() -> None:
    fault = on_gpu(_READ_OUTSIDE)
    assert fault["status"] == "CRASHED", fault["reason"]
    assert fault["lost"]


def test_each_fault_of_a_kernel_ends_as_a_status_with_a_fresh_worker(tmp_path: Path) -> None:
    """The same as tests/autotune/test_tune_on_a_gpu.py, where the faults are simulated."""
    done = subprocess.run(
        [
            sys.executable, "-m", "dsabench.cli.app", "tune", "--device", "cuda", "--suite", "tiny", "--op", "topk_select",
            "--impl", "faulty_gpu", "--plugin", str(Path(__file__).with_name("faulty_gpu_plugin.py")), "--strategy", "exhaustive",
            "--budget", "3m", "--trial-timeout", "10s", "--out", str(tmp_path / "out"), "--no-install", "--no-report", "--allow-busy",
        ],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"},
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    trials = {t.config["FAULT"]: t.status for t in read_journal(tmp_path / "out").trials if t.impl == "faulty_gpu"}
    assert trials == {
        "none": Status.PASSED,
        "illegal": Status.CRASHED,
        "hangs": Status.TIMEOUT,
        "memory": Status.OUT_OF_MEMORY,
        "refused": Status.LAUNCH_ERROR,
    }
