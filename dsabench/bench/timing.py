"""Timing of one config: warm-up, inputs rotated past the last-level cache, samples until the median is known well enough."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, Protocol

import numpy as np

from dsabench.bench.effort import TimingPolicy
from dsabench.bench.intervals import median_interval, thin
from dsabench.bench.records import Timing

SAMPLES_KEPT = 200
Call = Callable[[int], None]
"""Runs the kernel once on input copy `i`."""
ClockName = Literal["wall", "process", "cuda_events", "cuda_graph"]
StoppedBy = Literal["interval", "time", "samples"]


class Clock(Protocol):
    """What measures a stretch of calls. A GPU's clock records events around the stretch instead of reading the host's."""

    @property
    def name(self) -> ClockName: ...

    def measure(self, call: Call, copies: list[int]) -> float:
        """Seconds that `call` on each of `copies`, in this order, takes together."""
        ...


class WallClock:
    name: Literal["wall"] = "wall"

    def measure(self, call: Call, copies: list[int]) -> float:
        begin = time.perf_counter_ns()
        for copy in copies:
            call(copy)
        return (time.perf_counter_ns() - begin) * 1e-9


class Rotation:
    """Hands out input copies in turn, so that a copy comes back only after all others were used."""

    def __init__(self, copies: int) -> None:
        self.copies = copies
        self.last = -1

    def take(self, count: int) -> list[int]:
        first = self.last + 1
        self.last = (self.last + count) % self.copies
        return [(first + i) % self.copies for i in range(count)]


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """A collection in the middle of a sample costs milliseconds; collect before, and not during."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def calls_for(sample_s: float, call_s: float, most: int) -> int:
    """How many calls make a sample of at least `sample_s`, between 1 and `most`."""
    return max(1, min(most, math.ceil(sample_s / max(call_s, 1e-9))))


def warm_up(call: Call, rotation: Rotation, clock: Clock, seconds: float) -> tuple[int, float]:
    """Calls until `seconds` have passed, at least once. Returns the calls made and the fastest of them in seconds."""
    spent, calls, fastest = 0.0, 0, math.inf
    while calls == 0 or spent < seconds:
        took = clock.measure(call, rotation.take(1))
        spent, calls, fastest = spent + took, calls + 1, min(fastest, took)
    return calls, fastest


def time_calls(
    call: Call,
    rotation: Rotation,
    policy: TimingPolicy,
    clock: Clock,
    flush: Callable[[], None] | None,
    flush_bytes: int,
) -> Timing:
    """Times `call` under `policy`. `flush`, where given, runs before each sample, outside the timed stretch; a sample then
    never uses a copy twice. `flush_bytes` is what it streams, for the record."""
    with no_garbage_collection():
        warmups, call_s = warm_up(call, rotation, clock, policy.warmup_s)
        calls = calls_for(policy.sample_s, call_s, rotation.copies if flush else 100_000)

        def sample() -> float:
            if flush:
                flush()
            return clock.measure(call, rotation.take(calls)) / calls

        samples, stopped_by = collect(sample, policy)
    return summarize(
        samples,
        policy,
        stopped_by=stopped_by,
        calls_per_sample=calls,
        warmup_calls=warmups,
        input_copies=rotation.copies,
        flush_bytes=flush_bytes if flush else 0,
        clock=clock.name,
    )


def collect(sample: Callable[[], float], policy: TimingPolicy) -> tuple[list[float], StoppedBy]:
    """Takes samples (seconds a call) until the median is known as well as `policy` asks or its time is up."""
    samples: list[float] = []
    begin = time.perf_counter()
    while True:
        samples.append(sample())
        stopped_by = _enough(samples, time.perf_counter() - begin, policy)
        if stopped_by:
            return samples, stopped_by


def summarize(samples: list[float], policy: TimingPolicy, **how: Any) -> Timing:
    """`how`: the fields of Timing that say how the samples were taken."""
    low, high, confidence = median_interval(samples, policy.confidence)
    p10, median, p90 = (float(v) for v in np.quantile(samples, [0.1, 0.5, 0.9]))
    return Timing(
        median_s=median,
        low_s=low,
        high_s=high,
        confidence=confidence,
        min_s=min(samples),
        p10_s=p10,
        p90_s=p90,
        n=len(samples),
        samples_s=thin(samples, SAMPLES_KEPT),
        **how,
    )


def _enough(samples: list[float], elapsed: float, policy: TimingPolicy) -> StoppedBy | None:
    n = len(samples)
    if elapsed >= policy.patience_s:
        return "time"
    if n < policy.least_samples:
        return None
    low, high, confidence = median_interval(samples, policy.confidence)
    if confidence >= policy.confidence and (high - low) / 2 <= policy.target * sorted(samples)[n // 2]:
        return "interval"
    if elapsed >= policy.time_s:
        return "time"
    return "samples" if n >= policy.most_samples else None
