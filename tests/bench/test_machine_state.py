"""Memory, load and device: what is read from the machine."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import pytest
import torch

from dsabench.bench import load
from dsabench.bench.device import cpu_device, last_level_cache, worker_environment
from dsabench.bench.load import LoadSnapshot, cores_taken, load_note, load_snapshot
from dsabench.bench.memory import peak_extra_bytes
from dsabench.bench.provenance import git_commit, package_versions

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@linux
def test_peak_memory_sees_what_a_call_allocates_and_frees():
    def call() -> None:
        torch.ones(100 * 2**20, dtype=torch.uint8).max()

    call()
    peak = peak_extra_bytes(call)
    assert peak is not None
    assert 98 * 2**20 <= peak < 130 * 2**20, "the kernel counts resident pages in batches a thread"


@linux
def test_peak_memory_of_nothing_is_next_to_nothing():
    peak = peak_extra_bytes(lambda: None)
    assert peak is not None
    assert peak < 4 * 2**20


def _allocate(connection, limit_first: bool) -> None:
    from dsabench.bench.memory import limit_memory

    limit_memory(0.05)
    try:
        torch.ones(int(connection.recv()), dtype=torch.uint8)
        connection.send("allocated")
    except (RuntimeError, MemoryError) as error:
        connection.send(str(error))


@linux
def test_a_limited_process_cannot_drag_the_machine_down():
    import psutil

    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_allocate, args=(theirs, True))
    process.start()
    ours.send(psutil.virtual_memory().available // 4)
    assert "allocate" in ours.recv()
    process.join()


STAT = """cpu  100 0 0 0 0 0 0 0 0 0
cpu0 60 1 10 500 7 1 2 3 0 0
cpu1 40 0 0 900 0 0 0 0 0 0
intr 1 2 3
"""


@linux
def test_busy_time_counts_everything_but_idle_on_our_cpus():
    tick = os.sysconf("SC_CLK_TCK")
    assert load._busy_seconds(STAT, {0}) == pytest.approx((60 + 1 + 10 + 1 + 2 + 3) / tick)
    assert load._busy_seconds(STAT, {0, 1}) == pytest.approx((77 + 40) / tick)


def test_others_are_what_is_busy_less_what_is_ours():
    before, after = LoadSnapshot(10.0, 1.0, 0.0), LoadSnapshot(13.0, 2.0, 2.0)
    assert cores_taken(before, after) == pytest.approx(1.0)
    assert cores_taken(before, LoadSnapshot(10.0, 1.5, 2.0)) == 0.0
    assert cores_taken(None, after) == 0.0
    assert cores_taken(before, LoadSnapshot(11.0, 1.0, 0.01)) == 0.0, "too short for the kernel's ticks"
    assert load_note(1.0, 2) == "1.0 of 2 cores were busy with other processes"
    assert load_note(0.1, 2) == ""


@linux
def test_a_busy_neighbour_is_seen():
    spin = "import time\nend = time.monotonic() + 1.2\nwhile time.monotonic() < end: pass"
    neighbour = subprocess.Popen([sys.executable, "-c", spin])
    before = load_snapshot()
    neighbour.wait()
    assert cores_taken(before, load_snapshot()) > 0.2


def test_the_device_record_says_what_runs():
    device = cpu_device()
    assert device.type == "cpu"
    assert device.cores >= 1
    assert device.key.startswith("cpu-")
    assert device.last_level_cache_bytes == last_level_cache()[0] > 2**15
    assert device.details["env.GOMP_SPINCOUNT"] == "20000"
    assert device.details["env.OMP_NUM_THREADS"] == str(device.threads)
    assert set(worker_environment()) == {"GOMP_SPINCOUNT", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"}


def test_provenance_names_versions_and_commit():
    versions = package_versions()
    assert versions["torch"] == torch.__version__.split("+")[0] or versions["torch"] == torch.__version__
    assert "python" in versions
    commit = git_commit()
    assert commit == "unknown" or len(commit.removesuffix("-dirty")) == 40
