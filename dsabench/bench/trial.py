"""One trial, inside the worker: run into poisoned outputs, check, measure memory, time, check again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from dsabench.bench.jobs import Stage, TrialJob, TrialOutcome
from dsabench.bench.records import CheckRecord, ConfigValues, Status
from dsabench.bench.runtime import Runtime
from dsabench.bench.timing import Rotation
from dsabench.bench.workbench import Bench, Benches, is_poisoned, poison
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.op import Check
from dsabench.kernels.registry import get_implementation

Tell = Callable[[Stage], None]


class TrialFailed(Exception):  # noqa: N818 - an outcome, not an error of ours
    """Ends a trial early with its status and reason. lost: nothing more can run in this process (see runtime.Fault)."""

    def __init__(self, status: Status, reason: str, lost: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.lost = lost


@contextmanager
def kernel_faults(runtime: Runtime) -> Iterator[None]:
    """Turns whatever a kernel raises, here or later on its device, into a TrialFailed; even SystemExit is an outcome, not a
    wish."""
    try:
        yield
        runtime.synchronize()
    except TrialFailed:
        raise
    except BaseException as error:
        fault = runtime.classify(error)
        raise TrialFailed(fault.status, fault.reason, fault.lost) from error


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
        self._shapes = [tensor.shape for tensor in bench.copies[0].outputs]

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
        outputs = self.bench.copies[copy].outputs
        for name, tensor, shape in zip(self.bench.op.output_names, outputs, self._shapes, strict=True):
            if tensor.shape != shape:
                raise TrialFailed(
                    Status.INCORRECT,
                    f"the kernel gave its output {name!r} the shape {list(tensor.shape)}, not {list(shape)}",
                )
        expected = self.bench.expected()  # outside the try: a reference that fails is our fault
        try:
            check = self.bench.op.check(self.bench.inputs, outputs, self.bench.rows, expected)
        except torch.OutOfMemoryError:
            raise  # no verdict on the kernel
        except (RuntimeError, ValueError, IndexError) as error:
            raise TrialFailed(
                Status.INCORRECT, f"outputs cannot be compared: {type(error).__name__}: {error}"
            ) from error
        if not check.passed:
            for name, tensor in zip(self.bench.op.output_names, outputs, strict=True):
                if is_poisoned(tensor):
                    return replace(check, reason=f"nothing was written to output {name!r}; {check.reason}")
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


def run_trial(job: TrialJob, benches: Benches, runtime: Runtime, tell: Tell) -> TrialOutcome:
    """Never raises for what a kernel does wrong; what it raises itself is a fault of inputs or reference."""
    stage = StageClock(tell)
    with stage("build"):
        bench = benches.get(job.workload)
    implementation = get_implementation(job.workload.op, job.impl)
    planned = implementation.plan is not None
    runner = Runner(bench, implementation, job.config)
    compile_s, check, timed, peak = None, None, None, None
    status, reason, lost = Status.PASSED, "", False
    try:
        runner.poison(0)
        with stage("compile"), kernel_faults(runtime):
            runner.call(0)
        compile_s = stage.seconds["compile"]
        with stage("reference"):
            bench.expected()
        with stage("check"):
            verdict = runner.check(0)
        check = check_record(verdict)
        if not verdict.passed:
            raise TrialFailed(Status.INCORRECT, verdict.reason)
        with stage("memory"), kernel_faults(runtime):
            peak = runtime.peak_extra_bytes(lambda: runner.call(0))
        with stage("copy"):
            rotated = bench.rotate(runtime.copy_room())
            for copy in bench.copies:
                poison(copy.outputs)
        rotation = Rotation(len(bench.copies))
        with stage("time"), kernel_faults(runtime):
            timed = runtime.time(runner.call, rotation, job.policy, rotated, planned)
        with stage("recheck"):
            runner.recheck(rotation.last, "in the last timed call")
            again = rotation.take(1)[0]
            runner.poison(again)
            with kernel_faults(runtime):
                runner.call(again)
            runner.recheck(again, "in a call after timing")
    except TrialFailed as failed:
        status, reason, lost = failed.status, failed.reason, failed.lost
        if status is Status.INCORRECT:
            benches.forget(job.workload)  # whatever it did to the inputs, the next config gets fresh ones
            if check is not None and check.passed:
                check = check.model_copy(update={"passed": False, "reason": reason})
    passed = timed if status is Status.PASSED else None
    note = timed.note if timed else ""
    return TrialOutcome(
        status=status,
        reason=reason,
        describe="; ".join(text for text in (_describe(implementation, job.config), note) if text),
        compile_s=compile_s,
        check=check,
        timing=passed.cold if passed else None,
        warm=passed.warm if passed else None,
        peak_extra_bytes=peak,
        stages_s=stage.seconds,
        lost=lost,
    )


def _describe(implementation: Implementation, config: ConfigValues) -> str:
    try:
        return implementation.describe(config)
    except Exception as error:  # a plugin's remark about itself must not cost its trial
        return f"(describe failed: {type(error).__name__}: {error})"
