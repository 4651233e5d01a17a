"""Several configs re-timed in interleaved rounds, inside the worker: what disturbs the machine then disturbs all alike."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping

from dsabench.bench.jobs import CompareJob, CompareOutcome, Stage
from dsabench.bench.runtime import Runtime, Stopwatch
from dsabench.bench.timing import Rotation, no_garbage_collection
from dsabench.bench.trial import Runner, Tell, TrialFailed, kernel_faults
from dsabench.bench.workbench import Benches
from dsabench.kernels.registry import get_implementation

_SAMPLES_A_ROUND = 3  # their median: one hiccup does not decide a round


def run_compare(job: CompareJob, benches: Benches, runtime: Runtime, tell: Tell) -> CompareOutcome:
    """Rounds in seeded random order until `job.rounds` are done or `job.time_s` is used up (then at least
    `job.least_rounds`). An entry that raises or whose outputs turn wrong drops out with its reason; the others go on, unless it
    took the device with it."""
    bench = benches.get(job.workload)
    implementations = [get_implementation(job.workload.op, impl) for impl, _ in job.entries]
    runners = [Runner(bench, each, config) for each, (_, config) in zip(implementations, job.entries, strict=True)]
    rotated = bench.rotate(runtime.copy_room())
    rotation = Rotation(len(bench.copies))
    watches = [
        runtime.stopwatch(runner.call, rotation, rotated, runner.implementation.plan is not None) for runner in runners
    ]
    failed: dict[int, str] = {}
    rounds: list[list[float]] = [[] for _ in runners]

    def attempt(entry: int, run: Callable[[Stopwatch], object]) -> None:
        tell(Stage("confirm", entry))
        try:
            with kernel_faults(runtime):
                run(watches[entry])
        except TrialFailed as failure:
            failed[entry] = f"{failure.status}: {failure.reason}"
            if failure.lost:
                raise

    def measure(entry: int) -> None:
        def one_round(watch: Stopwatch) -> None:
            samples: list[float] = []
            while len(samples) < (_SAMPLES_A_ROUND if not samples or samples[0] < job.round_s else 1):
                samples.append(watch.sample())
            rounds[entry].append(sorted(samples)[len(samples) // 2])

        attempt(entry, one_round)

    try:
        for entry in range(len(runners)):
            attempt(entry, lambda watch: watch.prepare(job.round_s / _SAMPLES_A_ROUND))
        _rounds(job, failed, measure)
    except TrialFailed:
        return CompareOutcome(rounds, failed, lost=True)
    for entry, runner in enumerate(runners):
        if entry in failed:
            continue
        try:
            runner.poison(0)
            with kernel_faults(runtime):
                runner.call(0)
            runner.recheck(0, "after the confirmation")
        except TrialFailed as failure:
            failed[entry] = f"{failure.status}: {failure.reason}"
            if failure.lost:
                return CompareOutcome(rounds, failed, lost=True)
            benches.forget(job.workload)  # the others are judged on fresh inputs
            fresh = benches.get(job.workload)
            for other in runners:
                other.bench = fresh
    return CompareOutcome(rounds, failed)


def _rounds(job: CompareJob, failed: Mapping[int, str], measure: Callable[[int], None]) -> None:
    order = random.Random(job.seed)
    begin = time.perf_counter()
    with no_garbage_collection():
        for done in range(job.rounds):
            if done >= job.least_rounds and time.perf_counter() - begin >= job.time_s:
                break
            entries = [e for e in range(len(job.entries)) if e not in failed]
            order.shuffle(entries)
            for entry in entries:
                measure(entry)
