"""One config timed on a GPU: which clock, how many calls make a sample, cold inputs and warm ones."""

from __future__ import annotations

import math
from typing import Protocol

from dsabench.bench.effort import TimingPolicy
from dsabench.bench.gpu.clocks import Backlog, EventClock, GraphClock, Work
from dsabench.bench.gpu.stream import Stream
from dsabench.bench.records import Conditions, Timing
from dsabench.bench.runtime import Timed
from dsabench.bench.timing import Call, Rotation, calls_for, collect, no_garbage_collection, summarize

GRAPH_BELOW_S = 200e-6
"""Longer calls outlast what the host needs to launch the next one: events behind a backlog do for them, and any number of calls
makes a sample. Reasoned from Python's tens of microseconds a launch, not yet timed beside a GPU."""
GRAPH_ROUND_S = 0.05
"""A recorded round holds one call on each copy; a sample is not to last longer than this."""
WARM_CALLS = 20
SUSTAINED_S = 1.0
"""From this much work on before the first sample a timing counts as sustained."""
_MOST_CALLS = 100_000


class Watcher(Protocol):
    """What looks at the GPU's state, see gpu.conditions.Observer."""

    def sample(self) -> None: ...

    def reset(self) -> None: ...

    def conditions(self, sustained: bool) -> Conditions | None: ...


class GpuStopwatch:
    """Times `call` on the rotation's copies. flush: pushes the inputs out of the L2, where the copies cannot; planned: the call
    never waits for the GPU and may be recorded."""

    def __init__(
        self, stream: Stream, call: Call, rotation: Rotation, flush: Work | None, planned: bool, watcher: Watcher
    ) -> None:
        self.stream = stream
        self.call = call
        self.rotation = rotation
        self.flush = flush
        self.planned = planned
        self.backlog = Backlog(stream, watcher.sample)
        self.clock: EventClock | GraphClock = EventClock(stream, self.backlog, flush)
        self.calls = 1
        self.warmup_calls = 0

    def prepare(self, sample_s: float) -> int:
        call_s = math.inf
        for _ in range(3):  # the first compiles and allocates; the clock wakes
            call_s = min(call_s, self.clock.measure(self.call, self.rotation.take(1)))
            self.warmup_calls += 1
        round_s = self.rotation.copies * call_s
        if self.planned and self.flush is None and call_s < GRAPH_BELOW_S and round_s < GRAPH_ROUND_S:
            self.clock = GraphClock(self.stream, self.backlog, self.call, list(range(self.rotation.copies)))
            self.rotation.last = self.rotation.copies - 1  # where every recorded round ends
        most = self.rotation.copies if self.flush else _MOST_CALLS
        self.settle(calls_for(sample_s, call_s, most))
        return self.calls

    def settle(self, calls: int) -> None:
        self.calls = _whole(calls, self.clock.calls_multiple)

    def warm_up(self, seconds: float) -> float:
        """Repeats samples for so long. Returns the seconds in which the GPU worked: what it was held for does not count."""
        begin, worked = self.stream.now(), 0.0
        while self.stream.now() - begin < seconds:
            worked += self.sample() * self.calls
            self.warmup_calls += self.calls
        return worked

    def sample(self) -> float:
        return self.clock.measure(self.call, self.rotation.take(self.calls)) / self.calls


def time_on_gpu(stopwatch: GpuStopwatch, policy: TimingPolicy, watcher: Watcher, flush_bytes: int) -> Timed:
    """Warm inputs first, for a quarter of the effort, then cold ones: the outputs that are checked afterwards are those of the
    last cold call."""
    with no_garbage_collection():
        stopwatch.prepare(policy.sample_s)
        warm = _warm(stopwatch, policy.cheaper(0.25))
        worked = stopwatch.warm_up(policy.warmup_s)
        watcher.reset()
        stopwatch.backlog.host_bound = 0
        samples, stopped_by = collect(stopwatch.sample, policy)
    cold = summarize(
        samples,
        policy,
        stopped_by=stopped_by,
        calls_per_sample=stopwatch.calls,
        warmup_calls=stopwatch.warmup_calls,
        input_copies=stopwatch.rotation.copies,
        flush_bytes=flush_bytes if stopwatch.flush else 0,
        clock=stopwatch.clock.name,
        host_bound=stopwatch.backlog.host_bound,
        conditions=watcher.conditions(worked >= SUSTAINED_S),
    )
    return Timed(cold, warm, disturbances(cold))


def _warm(stopwatch: GpuStopwatch, policy: TimingPolicy) -> Timing:
    """The same call on one copy again and again."""
    call, stream = stopwatch.call, stopwatch.stream
    backlog = Backlog(stream)
    clock: EventClock | GraphClock = EventClock(stream, backlog)
    call_s = min(clock.measure(call, [0]) for _ in range(3))
    if stopwatch.planned and call_s < GRAPH_BELOW_S:
        clock = GraphClock(stream, backlog, call, [0] * WARM_CALLS)
    calls = _whole(calls_for(policy.sample_s, call_s, _MOST_CALLS), clock.calls_multiple)
    backlog.host_bound = 0
    samples, stopped_by = collect(lambda: clock.measure(call, [0] * calls) / calls, policy)
    return summarize(
        samples,
        policy,
        stopped_by=stopped_by,
        calls_per_sample=calls,
        warmup_calls=3,
        input_copies=1,
        clock=clock.name,
        inputs="warm",
        host_bound=backlog.host_bound,
    )


def _whole(calls: int, multiple: int) -> int:
    return -(-calls // multiple) * multiple


def disturbances(timing: Timing) -> str:
    """What a reader of the trial must know of its samples, "" for nothing."""
    notes = []
    if timing.host_bound:
        notes.append(f"the GPU waited for the host in {timing.host_bound} of {timing.n} samples")
    if timing.conditions:
        notes += [
            f"{reason} held the clock down in {count} of {timing.n} samples"
            for reason, count in timing.conditions.throttled.items()
        ]
    return "; ".join(notes)
