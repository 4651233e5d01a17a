"""A GPU as far as timing sees it: a stream that works in order behind the host, a cache, and a clock that a test controls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class SimulatedEvent:
    stream: SimulatedStream
    at: float = -1.0

    def record(self) -> None:
        self.at = self.stream.queue(0.0)

    def reached(self) -> bool:
        return self.at <= self.stream.host

    def wait(self) -> None:
        self.stream.host = max(self.stream.host, self.at)

    def since(self, earlier: SimulatedEvent) -> float:
        assert self.reached()
        assert earlier.reached()
        return self.at - earlier.at


@dataclass
class SimulatedStream:
    """`host` is the host's time, `done` when the GPU will have finished what is queued so far. Launching costs the host
    `launch_s`; what is recorded into a graph costs it once, when the graph is launched."""

    launch_s: float = 10e-6
    host: float = 0.0
    done: float = 0.0
    held: list[float] = field(default_factory=list)
    graphs: int = 0
    _recording: list[Callable[[], float]] | None = None

    def queue(self, seconds: float) -> float:
        self.done = max(self.done, self.host) + seconds
        return self.done

    def launch(self, duration: Callable[[], float]) -> None:
        """A kernel; how long it takes is settled when it runs, since that depends on the cache."""
        if self._recording is not None:
            self._recording.append(duration)
            return
        self.host += self.launch_s
        self.queue(duration())

    def event(self) -> SimulatedEvent:
        return SimulatedEvent(self)

    def hold(self, seconds: float) -> None:
        self.held.append(seconds)
        self.queue(seconds)

    def record_graph(self, work: Callable[[], None]) -> Callable[[], None]:
        self._recording = []
        work()
        kernels, self._recording = self._recording, None
        self.graphs += 1

        def replay() -> None:
            self.host += self.launch_s
            for duration in kernels:
                self.queue(duration())

        return replay

    def wait(self) -> None:
        self.host = max(self.host, self.done)

    def now(self) -> float:
        return self.host


@dataclass
class SimulatedCache:
    """Least recently used, whole inputs at a time."""

    size: int
    held: dict[object, int] = field(default_factory=dict)

    def touch(self, name: object, size: int) -> bool:
        """Whether it was there."""
        hit = self.held.pop(name, None) is not None
        self.held[name] = size
        while sum(self.held.values()) > self.size:
            del self.held[next(iter(self.held))]
        return hit


@dataclass
class SimulatedKernel:
    """Takes `cold_s` on inputs that are not in the cache, `warm_s` on those that are."""

    stream: SimulatedStream
    cache: SimulatedCache
    cold_s: float
    warm_s: float
    input_bytes: int
    waits: bool = False
    calls: list[int] = field(default_factory=list)

    def __call__(self, copy: int) -> None:
        def duration() -> float:
            self.calls.append(copy)
            return self.warm_s if self.cache.touch(copy, self.input_bytes) else self.cold_s

        self.stream.launch(duration)
        if self.waits:
            self.stream.wait()

    def flush(self) -> None:
        def duration() -> float:
            self.cache.touch("flush", self.cache.size)
            return 60e-6

        self.stream.launch(duration)
