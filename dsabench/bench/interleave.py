"""Several configs re-timed in interleaved rounds, inside the worker: what disturbs the machine then disturbs all alike."""

from __future__ import annotations

import random
import time

from dsabench.bench.jobs import CompareJob, CompareOutcome, Stage
from dsabench.bench.timing import Rotation, WallClock, calls_for, no_garbage_collection, warm_up
from dsabench.bench.trial import Flush, Runner, Tell, TrialFailed, kernel_faults
from dsabench.bench.workbench import Benches
from dsabench.kernels.registry import get_implementation

_WARM_UP_BELOW_S = 0.05  # a call this long is warm before its end
_SAMPLES_A_ROUND = 3  # their median: one hiccup does not decide a round


def run_compare(
    job: CompareJob, benches: Benches, flush: Flush, last_level_cache_bytes: int, tell: Tell
) -> CompareOutcome:
    """Rounds in seeded random order until `job.rounds` are done or `job.time_s` is used up (then at least
    `job.least_rounds`). An entry that raises or whose outputs turn wrong drops out with its reason; the others go on."""
    bench = benches.get(job.workload)
    clock = WallClock()
    runners = [Runner(bench, get_implementation(job.workload.op, impl), config) for impl, config in job.entries]
    use_flush = None if bench.rotate(last_level_cache_bytes) else flush
    rotation = Rotation(len(bench.copies))
    most = rotation.copies if use_flush else 100_000
    failed: dict[int, str] = {}
    calls: dict[int, int] = {}
    rounds: list[list[float]] = [[] for _ in runners]

    def attempt(entry: int, measure: bool) -> None:
        tell(Stage("confirm", entry))
        runner = runners[entry]
        try:
            with kernel_faults():
                if not measure:
                    call_s = clock.measure(runner.call, rotation.take(1))
                    if call_s < _WARM_UP_BELOW_S:
                        _, call_s = warm_up(runner.call, rotation, clock, 0.0)
                    calls[entry] = calls_for(job.round_s / _SAMPLES_A_ROUND, call_s, most)
                    return
                samples: list[float] = []
                while len(samples) < (_SAMPLES_A_ROUND if not samples or samples[0] < job.round_s else 1):
                    if use_flush:
                        use_flush()
                    samples.append(clock.measure(runner.call, rotation.take(calls[entry])) / calls[entry])
                rounds[entry].append(sorted(samples)[len(samples) // 2])
        except TrialFailed as failure:
            failed[entry] = f"{failure.status}: {failure.reason}"

    order = random.Random(job.seed)
    for entry in range(len(runners)):
        attempt(entry, measure=False)
    begin = time.perf_counter()
    with no_garbage_collection():
        for done in range(job.rounds):
            if done >= job.least_rounds and time.perf_counter() - begin >= job.time_s:
                break
            entries = [e for e in range(len(runners)) if e not in failed]
            order.shuffle(entries)
            for entry in entries:
                attempt(entry, measure=True)
    for entry, runner in enumerate(runners):
        if entry in failed:
            continue
        try:
            runner.poison(0)
            with kernel_faults():
                runner.call(0)
            runner.recheck(0, "after the confirmation")
        except TrialFailed as failure:
            failed[entry] = f"{failure.status}: {failure.reason}"
            benches.forget(job.workload)  # the others are judged on fresh inputs
            fresh = benches.get(job.workload)
            for other in runners:
                other.bench = fresh
    return CompareOutcome(rounds, failed)
