"""One config held ready in a worker and sampled at its parent's word, so that several processes can take turns."""

from __future__ import annotations

import gc
import statistics
from collections.abc import Callable

from dsabench.bench.jobs import Held, HoldJob, Sampled, SampleJob
from dsabench.bench.messages import Stage
from dsabench.bench.records import Status
from dsabench.bench.runtime import Runtime, Stopwatch
from dsabench.bench.timing import Call, Rotation
from dsabench.bench.trial import Runner, Tell, TrialFailed, kernel_faults
from dsabench.bench.workbench import Bench, Benches
from dsabench.kernels.registry import get_implementation


class Holder:
    """Holds at most one config."""

    def __init__(self, benches: Benches, runtime: Runtime, tell: Tell) -> None:
        self._benches = benches
        self._runtime = runtime
        self._tell = tell
        self._watch: Stopwatch | None = None
        self._slow: Callable[[Stopwatch], Stopwatch] | None = None

    def hold(self, job: HoldJob) -> Held:
        """Never raises for what the kernel does wrong; what it raises itself is a fault of inputs or reference."""
        self._watch = self._slow = None
        self._tell(Stage("build"))
        bench = self._benches.get(job.workload)
        runner = Runner(bench, get_implementation(job.workload.op, job.impl), job.config)
        try:
            self._launch(runner)
            if job.check:
                self._check(runner, bench)
            self._watch, calls = self._prepared(runner, bench, job)
        except TrialFailed as failed:
            if failed.status is Status.INCORRECT:
                self._benches.forget(job.workload)
            return Held(failed.status, failed.reason, bench.fingerprint, failed.lost)
        return Held(Status.PASSED, "", bench.fingerprint, calls)

    def _launch(self, runner: Runner) -> None:
        runner.poison(0)
        self._tell(Stage("compile"))
        with kernel_faults(self._runtime):
            runner.call(0)

    def _check(self, runner: Runner, bench: Bench) -> None:
        self._tell(Stage("reference"))
        bench.expected()
        self._tell(Stage("check"))
        verdict = runner.check(0)
        if not verdict.passed:
            raise TrialFailed(Status.INCORRECT, verdict.reason)

    def _prepared(self, runner: Runner, bench: Bench, job: HoldJob) -> tuple[Stopwatch, int]:
        """With the number of calls that make a sample."""
        self._tell(Stage("copy"))
        rotated = bench.rotate(self._runtime.copy_room())
        rotation = Rotation(len(bench.copies))
        planned = runner.implementation.plan is not None

        def watch_of(call: Call) -> Stopwatch:
            return self._runtime.stopwatch(call, rotation, rotated, planned)

        def slowed(plain: Stopwatch) -> Stopwatch:
            watch = watch_of(self._runtime.slowed(runner.call, job.slow_by, plain))
            watch.prepare(job.sample_s)
            return watch

        self._tell(Stage("time"))
        with kernel_faults(self._runtime):
            watch = watch_of(runner.call)
            calls = watch.prepare(job.sample_s)
        self._slow = slowed if job.slow_by else None
        return watch, calls

    def sample(self, job: SampleJob) -> Sampled:
        """Raises RuntimeError when nothing is held."""
        if self._watch is None:
            raise RuntimeError("nothing is held to be sampled")
        samples: list[float] = []
        gc.disable()  # collected once, in `Benches.get`: a collection before every sample would cost more than the sample
        try:
            with kernel_faults(self._runtime):
                if self._slow is not None:
                    # Not in `hold`: others hold at the same time, and what this takes now would be another's doing.
                    self._watch, self._slow = self._slow(self._watch), None
                self._watch.settle(job.calls)
                while len(samples) < (job.most if sum(samples) < job.seconds else 1):
                    samples.append(self._watch.sample())
        except TrialFailed as failed:
            self._watch = None
            return Sampled(None, f"{failed.status}: {failed.reason}", failed.lost)
        finally:
            gc.enable()
        return Sampled(statistics.median(samples))
