"""Timing a stretch of calls on a GPU: by events behind a backlog, or by replaying a recorded graph.

An event pair around a short kernel times the gap in which the GPU waits for the host. So the stream is first held busy for as
long as the host needs to queue the whole stretch; a stretch whose first event was reached before the host was done is timed
again behind a longer hold, and counted as host-bound when that does not help (a call that waits for the GPU itself).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from dsabench.bench.gpu.stream import Event, Stream
from dsabench.bench.timing import Call, ClockName

_MARGIN = 1.5
"""A hold is this much longer than the host took last time: the host's time to queue the same stretch varies by as much."""
_LEAST_HOLD_S = 20e-6
_MOST_HOLD_S = 0.02
_ATTEMPTS = 3
Work = Callable[[], None]


class Backlog:
    """Times what the host queues. `observe` is called while the GPU works; host_bound: measurements that time the host too."""

    def __init__(self, stream: Stream, observe: Callable[[], None] = lambda: None) -> None:
        self._stream = stream
        self._observe = observe
        self._host_s = 0.0
        self._hopeless = False
        self.host_bound = 0

    def measure(self, queue: Callable[[], list[tuple[Event, Event]]]) -> float:
        """Seconds between the pairs of events that `queue` puts into the stream, all together."""
        return sum(self.spans(queue))

    def spans(self, queue: Callable[[], list[tuple[Event, Event]]]) -> list[float]:
        """Seconds between each of the pairs of events that `queue` puts into the stream."""
        for attempt in range(_ATTEMPTS):
            self._stream.hold(min(_MOST_HOLD_S, max(_LEAST_HOLD_S, _MARGIN * self._host_s)))
            begin = self._stream.now()
            pairs = queue()
            late = pairs[0][0].reached()
            self._host_s = self._stream.now() - begin
            again = late and not self._hopeless and attempt < _ATTEMPTS - 1 and self._host_s <= _MOST_HOLD_S
            if not again:
                self._observe()
            pairs[-1][1].wait()
            if again:
                continue
            self._hopeless = late  # the next measurement is then not tried three times again
            self.host_bound += late
            break
        return [end.since(start) for start, end in pairs]

    def stretch(self, work: Work) -> float:
        """Seconds of all that `work` launches."""

        def queue() -> list[tuple[Event, Event]]:
            start, end = self._stream.event(), self._stream.event()
            start.record()
            work()
            end.record()
            return [(start, end)]

        return self.measure(queue)


class EventClock:
    """Calls launched by the host. With `flush` each call is timed by itself, behind a flush of the cache of its own."""

    name: ClockName = "cuda_events"
    calls_multiple = 1

    def __init__(self, stream: Stream, backlog: Backlog, flush: Work | None = None) -> None:
        self._stream = stream
        self._backlog = backlog
        self._flush = flush

    def measure(self, call: Call, copies: list[int]) -> float:
        flush = self._flush

        def calls() -> None:
            for copy in copies:
                call(copy)

        if flush is None:
            return self._backlog.stretch(calls)

        def queue() -> list[tuple[Event, Event]]:
            pairs = []
            for copy in copies:
                flush()
                start, end = self._stream.event(), self._stream.event()
                start.record()
                call(copy)
                end.record()
                pairs.append((start, end))
            return pairs

        return self._backlog.measure(queue)


class StagedClock:
    """Stages that run one after the other, each timed within the whole: a mark before the first and after each."""

    def __init__(self, stream: Stream, backlog: Backlog, flush: Work) -> None:
        self._stream = stream
        self._backlog = backlog
        self._flush = flush

    def measure(self, stages: Sequence[Work]) -> list[float]:
        """Seconds of each stage of one run behind one flush of the cache; `backlog.host_bound` counts as ever."""

        def mark() -> Event:
            event = self._stream.event()
            event.record()
            return event

        def queue() -> list[tuple[Event, Event]]:
            self._flush()
            marks = [mark()]
            for stage in stages:
                stage()
                marks.append(mark())
            return list(itertools.pairwise(marks))

        return self._backlog.spans(queue)


class GraphClock:
    """A recorded round of calls, one on each of `copies` in turn, launched as one: nothing of the host is between them."""

    name: ClockName = "cuda_graph"

    def __init__(self, stream: Stream, backlog: Backlog, call: Call, copies: list[int]) -> None:
        self._backlog = backlog
        self.calls_multiple = len(copies)

        def round_of_calls() -> None:
            for copy in copies:
                call(copy)

        self._replay = stream.record_graph(round_of_calls)

    def measure(self, call: Call, copies: list[int]) -> float:
        """`copies` must be whole rounds; which call they are of was settled when the round was recorded."""
        rounds, rest = divmod(len(copies), self.calls_multiple)
        assert not rest, (len(copies), self.calls_multiple)

        def work() -> None:
            for _ in range(rounds):
                self._replay()

        return self._backlog.stretch(work)
