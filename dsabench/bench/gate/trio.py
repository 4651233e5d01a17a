"""Baseline, baseline again, candidate: three workers on one device that take turns, one sample of each a round."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from dsabench.bench.gate.estimate import Pass
from dsabench.bench.gate.pairing import OfferPair
from dsabench.bench.intervals import median_interval
from dsabench.bench.jobs import Held, HoldJob, Job, Sampled, SampleJob
from dsabench.bench.records import Status
from dsabench.bench.worker import JobFailed, Worker, WorkerDied, WorkerTimeout

SAMPLES = 3  # a round's time is their median: one hiccup does not decide a round
Side = Literal["baseline", "candidate", "gate"]
SIDES: tuple[Side, Side, Side] = ("baseline", "baseline", "candidate")
"""By worker."""


@dataclass(frozen=True)
class RoundPolicy:
    """Rounds of one row in one pass: until both medians' intervals (of again / baseline and candidate / baseline) are within
    ±`within` of them or `seconds` have passed, but at least `least` and at most `most`. round_s: least time of one side in a
    round; timeout_s: of one job."""

    least: int
    most: int
    within: float
    seconds: float
    round_s: float
    timeout_s: float


CPU_ROUNDS = RoundPolicy(least=15, most=150, within=0.02, seconds=2.5, round_s=4e-3, timeout_s=120.0)
"""On two quiet cores 130 rounds (2.7 s) leave 0.4 to 0.9 % within a process where two processes of the same code differ by 0.4 to
1.5 %: what more rounds could give is better spent on another pass. Beside busy neighbours 25 rounds left 1 to 3 %."""
GPU_ROUNDS = RoundPolicy(least=15, most=150, within=0.003, seconds=2.0, round_s=3e-3, timeout_s=120.0)
"""Reasoned, not yet chosen by measuring on a GPU."""
_LOOK_EVERY = 5  # rounds


class RowFault(NamedTuple):
    """Why a row has no times in this pass. side: whose fault it is; `gate` for inputs, references and what is nobody's kernel."""

    side: Side
    reason: str


class Trio:
    """`make()` builds the three workers, not yet started. A context: they are gone at its end."""

    def __init__(self, make: Callable[[], Sequence[Worker]], policy: RoundPolicy) -> None:
        self._make = make
        self._policy = policy
        self._workers: list[Worker] = []
        self._threads = ThreadPoolExecutor(3, "gate")

    def __enter__(self) -> Trio:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._threads.shutdown()

    def _end(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def fresh(self) -> tuple[Worker, Worker, Worker]:
        """Three new processes, ready for jobs: what a process is dealt once is dealt anew. Raises WorkerStartError."""
        self._end()
        self._workers = list(self._make())
        self._ready()
        first, second, third = self._workers
        return first, second, third

    def _ready(self) -> None:
        for worker in self._workers:
            worker.launch()
        for worker in self._workers:
            worker.start()

    def measure(self, pair: OfferPair, check: bool, slow_by: float, seed: int) -> Pass | RowFault:
        """Both offers of the pair on the same inputs. check: hold both sides' outputs to the reference first; slow_by: of the
        candidate, see HoldJob; seed: of the order within the rounds. Raises WorkerStartError."""
        assert pair.baseline is not None
        assert pair.candidate is not None
        self._ready()
        jobs = [
            HoldJob(pair.workload, o.impl, o.config, self._policy.round_s / SAMPLES, checked, slower)
            for o, checked, slower in (
                (pair.baseline, check, 0.0),
                (pair.baseline, False, 0.0),
                (pair.candidate, check, slow_by),
            )
        ]
        # At once: nothing is timed yet, and inputs and references take their time.
        held = [
            self._seen(*each) for each in zip(range(3), self._threads.map(self._do, self._workers, jobs), strict=True)
        ]
        fault = _fault_of(held)
        if fault is not None:
            return fault
        ready = [result for result in held if isinstance(result, Held)]
        if ready[0].inputs != ready[2].inputs:
            return RowFault("gate", "the two trees make other inputs of this workload: their times cannot be compared")
        return self._rounds(min(each.calls for each in ready), seed)

    def _seen(self, number: int, result: Held | Sampled | RowFault) -> Held | Sampled | RowFault:
        """A worker that can run nothing more is gone; a kernel that failed is a fault of the tree whose worker ran it."""
        if isinstance(result, RowFault):
            return result if result.side == "gate" else result._replace(side=SIDES[number])
        if result.lost:
            self._workers[number].kill()
        if isinstance(result, Held) and result.status is not Status.PASSED:
            return RowFault(SIDES[number], f"{result.status}: {result.reason}")
        if isinstance(result, Sampled) and result.seconds is None:
            return RowFault(SIDES[number], result.reason)
        return result

    def _rounds(self, calls: int, seed: int) -> Pass | RowFault:
        policy, order = self._policy, random.Random(seed)
        times: list[list[float]] = [[], [], []]
        job = SampleJob(calls, policy.round_s, SAMPLES)
        begin = time.monotonic()
        while len(times[0]) < policy.most:
            done = len(times[0])
            if done >= policy.least and (
                time.monotonic() - begin >= policy.seconds
                or (done % _LOOK_EVERY == 0 and _width(times) <= policy.within)
            ):
                break
            for number in order.sample(range(3), 3):
                result = self._seen(number, self._do(self._workers[number], job))
                if isinstance(result, RowFault):
                    return result
                assert isinstance(result, Sampled)
                assert result.seconds is not None
                times[number].append(result.seconds)
        return Pass(*(tuple(each) for each in times))

    def _do(self, worker: Worker, job: Job) -> Held | Sampled | RowFault:
        try:
            result: Held | Sampled = worker.do(job, self._policy.timeout_s)
            return result
        except (WorkerDied, WorkerTimeout) as error:
            return RowFault("candidate", error.reason)
        except JobFailed as error:
            return RowFault("gate", error.failure.reason)


def _width(times: Sequence[Sequence[float]]) -> float:
    """The wider half-width of the two medians' intervals, relative."""
    baseline, again, candidate = (np.log(each) for each in times)
    found = [median_interval((other - baseline).tolist()) for other in (again, candidate)]
    return max(each.high - each.low for each in found) / 2.0


def _fault_of(results: Sequence[object]) -> RowFault | None:
    """What keeps a row from being timed: nobody's fault where both trees fail alike."""
    faults = [result for result in results if isinstance(result, RowFault)]
    sides = {fault.side for fault in faults}
    if {"baseline", "candidate"} <= sides:
        return RowFault("gate", f"it fails on both sides: {faults[0].reason}")
    return next((fault for fault in faults if fault.side == "gate"), faults[0] if faults else None)
