"""One trial, inside the worker: run into poisoned outputs, check, measure memory, time, check again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from dsabench.bench.jobs import Stage, TrialJob, TrialOutcome
from dsabench.bench.load import cores_taken, load_note, load_snapshot
from dsabench.bench.memory import peak_extra_bytes
from dsabench.bench.records import CheckRecord, ConfigValues, Status
from dsabench.bench.timing import Clock, Rotation, WallClock, time_calls
from dsabench.bench.workbench import Bench, Benches, poison
from dsabench.kernels.cpu.memory import release_scratch
from dsabench.kernels.cpu.parallel import parallel_for
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.machine import usable_cpus
from dsabench.kernels.op import Check, Outputs
from dsabench.kernels.registry import get_implementation

Tell = Callable[[Stage], None]


class TrialFailed(Exception):  # noqa: N818 - an outcome, not an error of ours
    """Ends a trial early with its status and reason."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Flush:
    """Streams twice the last-level cache through it, for workloads whose copies cannot fill it.

    By plain threads: after a torch reduction OpenMP's threads spin on, hold the core that the next kernel's own threads
    need, and made a 2.9 ms call 4.5 ms.
    """

    def __init__(self, last_level_cache_bytes: int) -> None:
        self.bytes = 2 * last_level_cache_bytes
        self._parts: list[np.ndarray] = []

    def __call__(self) -> None:
        threads = usable_cpus()
        if not self._parts:
            self._parts = [np.ones(self.bytes // 4 // threads, np.float32) for _ in range(threads)]
        parallel_for(threads, lambda task, slot: self._parts[task].max(), threads)


def classify(error: BaseException) -> tuple[Status, str]:
    """The status and reason of an exception that a kernel's launcher raised."""
    kind = type(error)
    first = next(iter(str(error).strip().splitlines()), "")
    reason = f"{kind.__name__}: {first}" if first else kind.__name__
    # torch's CPU allocator reports exhaustion as a plain RuntimeError.
    exhausted = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    if isinstance(error, MemoryError) or kind.__name__ == "OutOfMemoryError" or exhausted:
        return Status.OUT_OF_MEMORY, reason
    if kind.__module__.split(".")[0] in ("numba", "triton") or "compil" in kind.__name__.lower():
        return Status.COMPILE_ERROR, reason
    return Status.LAUNCH_ERROR, reason


@contextmanager
def kernel_faults() -> Iterator[None]:
    """Turns whatever a kernel raises into a TrialFailed; even SystemExit is an outcome here, not a wish."""
    try:
        yield
    except TrialFailed:
        raise
    except BaseException as error:
        raise TrialFailed(*classify(error)) from error


def check_record(check: Check) -> CheckRecord:
    return CheckRecord(
        passed=check.passed,
        rows_checked=check.rows_checked,
        rows_total=check.rows_total,
        rule=check.rule,
        worst=check.worst,
        reason=check.reason,
    )


class Runner:
    """One config on one bench: launches it on a copy, checks what it left in the outputs."""

    def __init__(self, bench: Bench, implementation: Implementation, config: ConfigValues) -> None:
        self.bench = bench
        self.implementation = implementation
        self.config = config
        self._right: Outputs | None = None

    def call(self, copy: int) -> None:
        each = self.bench.copies[copy]
        self.implementation.run(each.inputs, each.outputs, self.config)

    def poison(self, copy: int) -> None:
        poison(self.bench.copies[copy].outputs)

    def check(self, copy: int) -> Check:
        """Raises TrialFailed (INCORRECT) when a rule is broken, an input was changed, or the outputs cannot be compared."""
        changed = self.bench.changed_input(copy)
        if changed:
            raise TrialFailed(Status.INCORRECT, f"the kernel wrote into its input {changed!r}")
        expected = self.bench.expected()  # outside the try: a reference that fails is our fault
        try:
            check = self.bench.op.check(self.bench.inputs, self.bench.copies[copy].outputs, self.bench.rows, expected)
        except (RuntimeError, ValueError, IndexError) as error:
            raise TrialFailed(
                Status.INCORRECT, f"outputs cannot be compared: {type(error).__name__}: {error}"
            ) from error
        return check

    def recheck(self, copy: int, when: str) -> None:
        check = self.check(copy)
        if not check.passed:
            raise TrialFailed(Status.INCORRECT, f"right at first, wrong {when}: {check.reason}")


class StageClock:
    """Seconds by stage, and a sign of life at the beginning of each."""

    def __init__(self, tell: Tell) -> None:
        self.seconds: dict[str, float] = {}
        self._tell = tell

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._tell(Stage(name))
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin


def run_trial(job: TrialJob, benches: Benches, flush: Flush, last_level_cache_bytes: int, tell: Tell) -> TrialOutcome:
    """Never raises for what a kernel does wrong; what it raises itself is a fault of inputs or reference."""
    stage = StageClock(tell)
    with stage("build"):
        bench = benches.get(job.workload)
    implementation = get_implementation(job.workload.op, job.impl)
    runner = Runner(bench, implementation, job.config)
    compile_s, check, timing, peak, note = None, None, None, None, ""
    clock: Clock = WallClock()
    status, reason = Status.PASSED, ""
    try:
        runner.poison(0)
        with stage("compile"), kernel_faults():
            runner.call(0)
        compile_s = stage.seconds["compile"]
        with stage("reference"):
            bench.expected()
        with stage("check"):
            verdict = runner.check(0)
        check = check_record(verdict)
        if not verdict.passed:
            raise TrialFailed(Status.INCORRECT, verdict.reason)
        with stage("memory"), kernel_faults():
            release_scratch()  # what the CPU kernels keep between calls is part of what a call needs
            peak = peak_extra_bytes(lambda: runner.call(0))
        with stage("copy"):
            rotated = bench.rotate(last_level_cache_bytes)
            for copy in bench.copies:
                poison(copy.outputs)
        flushed = None if rotated else flush
        rotation = Rotation(len(bench.copies))
        with stage("time"), kernel_faults():
            before = load_snapshot()
            timing = time_calls(runner.call, rotation, job.policy, clock, flushed, flush.bytes)
            note = load_note(cores_taken(before, load_snapshot()), usable_cpus())
        with stage("recheck"):
            runner.recheck(rotation.last, "in the last timed call")
            again = rotation.take(1)[0]
            runner.poison(again)
            with kernel_faults():
                runner.call(again)
            runner.recheck(again, "in a call after timing")
    except TrialFailed as failed:
        status, reason = failed.status, failed.reason
        if status is Status.INCORRECT:
            benches.forget(job.workload)  # whatever it did to the inputs, the next config gets fresh ones
            if check is not None and check.passed:
                check = check.model_copy(update={"passed": False, "reason": reason})
        timing = None
    return TrialOutcome(
        status=status,
        reason=reason,
        describe="; ".join(text for text in (_describe(implementation, job.config), note) if text),
        compile_s=compile_s,
        check=check,
        timing=timing,
        peak_extra_bytes=peak,
        stages_s=stage.seconds,
    )


def _describe(implementation: Implementation, config: ConfigValues) -> str:
    try:
        return implementation.describe(config)
    except Exception as error:  # a plugin's remark about itself must not cost its trial
        return f"(describe failed: {type(error).__name__}: {error})"
