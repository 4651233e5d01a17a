"""The worker process, against kernels that really crash, hang, lie and exhaust memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from dsabench.bench.effort import QUICK
from dsabench.bench.jobs import CompareJob, PrepareJob, Stage, TrialJob, TrialOutcome
from dsabench.bench.records import Status
from dsabench.bench.worker import JobFailed, Worker, WorkerDied, WorkerStartError, WorkerTimeout
from dsabench.kernels.workload import Workload

PLUGIN = str(Path(__file__).parent / "faulty_plugin.py")
WORKLOAD = Workload.of("topk_select", {"rows": 2, "s_kv": 256, "k": 16})
POLICY = QUICK.timing.cheaper(1 / 9)


def job(fault: str) -> TrialJob:
    return TrialJob(WORKLOAD, "faulty", {"FAULT": fault}, POLICY)


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    with Worker(tmp_path_factory.mktemp("worker") / "worker.log", (PLUGIN,)) as worker:
        yield worker


def trial(worker: Worker, fault: str) -> TrialOutcome:
    outcome = worker.do(job(fault), 60.0)
    assert isinstance(outcome, TrialOutcome)
    return outcome


def test_a_right_kernel_is_checked_timed_and_its_memory_measured(worker):
    outcome = trial(worker, "none")
    assert outcome.status is Status.PASSED
    assert outcome.reason == ""
    assert outcome.describe.startswith("the reference in disguise")
    assert outcome.check is not None
    assert outcome.check.passed
    assert outcome.check.rows_checked == outcome.check.rows_total == 2
    assert outcome.timing is not None
    assert outcome.timing.n >= 3
    assert outcome.timing.min_s <= outcome.timing.low_s <= outcome.timing.median_s <= outcome.timing.high_s
    assert outcome.timing.input_copies > 1
    assert outcome.compile_s is not None
    assert outcome.compile_s > 0
    if sys.platform == "linux":
        assert outcome.peak_extra_bytes is not None
        assert outcome.peak_extra_bytes < 64 * 2**20


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("raises", Status.LAUNCH_ERROR, "RuntimeError: the launch failed"),
        ("compile", Status.COMPILE_ERROR, "CompilationError: no such instruction"),
        ("exits", Status.LAUNCH_ERROR, "SystemExit: 3"),
        ("memory", Status.OUT_OF_MEMORY, "allocate"),
    ],
)
def test_what_a_kernel_raises_is_its_status_and_first_line(worker, fault, status, reason):
    outcome = trial(worker, fault)
    assert outcome.status is status
    assert reason in outcome.reason
    assert "second line" not in outcome.reason
    assert outcome.timing is None


@pytest.mark.parametrize("fault", ["wrong", "unwritten"])
def test_wrong_numbers_are_incorrect_and_never_timed(worker, fault):
    outcome = trial(worker, fault)
    assert outcome.status is Status.INCORRECT
    assert outcome.reason
    assert outcome.check is not None
    assert not outcome.check.passed
    assert outcome.timing is None


def test_a_kernel_that_is_right_once_and_wrong_later_does_not_pass(worker):
    outcome = trial(worker, "wrong_later")
    assert outcome.status is Status.INCORRECT
    assert "right at first" in outcome.reason
    assert outcome.timing is None
    assert outcome.check is not None
    assert not outcome.check.passed


def test_a_kernel_that_writes_into_its_inputs_is_incorrect_and_spoils_nothing(worker):
    outcome = trial(worker, "writes_input")
    assert outcome.status is Status.INCORRECT
    assert "'logits'" in outcome.reason
    assert trial(worker, "none").status is Status.PASSED


@pytest.mark.parametrize(("fault", "signal"), [("segfault", "SIGSEGV"), ("aborts", "SIGABRT")])
def test_a_crash_names_its_signal_and_the_next_job_gets_a_new_worker(worker, fault, signal):
    trial(worker, "none")
    starts, pid = worker.starts, worker.pid
    with pytest.raises(WorkerDied, match=signal):
        worker.do(job(fault), 60.0)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert trial(worker, "none").status is Status.PASSED
    assert worker.starts == starts + 1


def test_a_crash_leaves_its_traceback_in_the_log_and_not_on_the_terminal(worker, capfd):
    with pytest.raises(WorkerDied):
        worker.do(job("segfault"), 60.0)
    assert "Segmentation fault" in worker.log.read_text()
    assert capfd.readouterr() == ("", "")


def test_a_hang_is_killed_after_its_limit(worker):
    trial(worker, "none")
    pid = worker.pid
    begin = time.monotonic()
    with pytest.raises(WorkerTimeout, match="during compile"):
        worker.do(job("hangs"), 1.0)
    assert time.monotonic() - begin < 30
    assert not psutil.pid_exists(pid)


def test_a_comparison_interleaves_and_drops_what_fails(worker):
    entries = tuple(("faulty", {"FAULT": fault}) for fault in ("none", "wrong", "none"))
    stages: list[Stage] = []
    worker.on_stage = stages.append
    outcome = worker.do(
        CompareJob(WORKLOAD, entries, rounds=5, least_rounds=5, round_s=1e-4, time_s=10.0, seed=1), 60.0
    )
    worker.on_stage = None
    assert [len(rounds) for rounds in outcome.rounds_s] == [5, 5, 5]
    assert list(outcome.failed) == [1]
    assert outcome.failed[1].startswith("INCORRECT")
    order = [stage.entry for stage in stages if stage.entry >= 0]
    measured = [tuple(order[i : i + 3]) for i in range(3, len(order), 3)]
    assert all(sorted(each) == [0, 1, 2] for each in measured)
    assert len(set(measured)) > 1, "the order within a round must change"


def test_a_workload_that_cannot_be_built_is_not_a_kernels_fault(worker):
    impossible = Workload("topk_select", (("rows", 0), ("s_kv", -1), ("k", 16), ("deterministic", 0)), "normal", 0)
    with pytest.raises(JobFailed):
        worker.do(PrepareJob(impossible), 60.0)
    assert trial(worker, "none").status is Status.PASSED


def test_a_plugin_that_does_not_load_is_named(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_module_anywhere\n")
    with (
        Worker(tmp_path / "worker.log", (str(broken),)) as worker,
        pytest.raises(WorkerStartError, match="no_such_module"),
    ):
        worker.do(job("none"), 60.0)


_PARENT = """
import sys, time
from pathlib import Path
from dsabench.bench.effort import QUICK
from dsabench.bench.jobs import TrialJob
from dsabench.bench.worker import Worker
from dsabench.kernels.workload import Workload
if __name__ == "__main__":
    worker = Worker(Path(sys.argv[1]), (sys.argv[2],))
    worker.start()
    print(worker.pid, flush=True)
    w = Workload.of("topk_select", {"rows": 2, "s_kv": 256, "k": 16})
    worker.do(TrialJob(w, "faulty", {"FAULT": "hangs"}, QUICK.timing), 600.0)
"""


def test_no_worker_outlives_a_parent_that_was_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    parent = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "worker.log"), PLUGIN],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.1)
    psutil.Process(pid).kill()
    pytest.fail("the worker still ran ten seconds after its parent was killed")


def test_a_workers_environment_is_its_own(tmp_path, monkeypatch):
    """The variable that the worker must not find is hidden while it starts, the one it must find is not left behind."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.delenv("DSABENCH_SEEN", raising=False)
    with Worker(tmp_path / "log", environment={"TRITON_INTERPRET": None, "DSABENCH_SEEN": "yes"}) as worker:
        worker.start()
        seen = psutil.Process(worker.pid).environ()
    assert seen["DSABENCH_SEEN"] == "yes"
    assert "TRITON_INTERPRET" not in seen
    assert seen["GOMP_SPINCOUNT"] == "20000"
    assert os.environ["TRITON_INTERPRET"] == "1"
    assert "DSABENCH_SEEN" not in os.environ
