"""The few things that timing asks of a CUDA stream; behind an interface, so that the timing can be tested without a GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import torch

_CALIBRATIONS = 5
_CALIBRATION_CYCLES = 5_000_000
"""2.5 ms at 2 GHz. Five of them wake an idle GPU's clock; the highest rate counts, so that a hold is never too short at full
clock."""


class Event(Protocol):
    """A mark in the stream."""

    def record(self) -> None: ...

    def reached(self) -> bool:
        """Whether the GPU has come to the mark."""
        ...

    def wait(self) -> None: ...

    def since(self, earlier: Any) -> float:
        """Seconds from an earlier mark to this one; both must have been reached."""
        ...


class Stream(Protocol):
    def event(self) -> Event: ...

    def hold(self, seconds: float) -> None:
        """Keeps the stream busy for so long with work that touches no memory, while the host queues what comes behind it."""
        ...

    def record_graph(self, work: Callable[[], None]) -> Callable[[], None]:
        """Records what `work` launches, without running it; the result launches all of it at once."""
        ...

    def wait(self) -> None:
        """Until all that was queued is done."""
        ...

    def now(self) -> float:
        """The host's clock, seconds."""
        ...


class TorchEvent:
    def __init__(self) -> None:
        self._event = torch.cuda.Event(enable_timing=True)

    def record(self) -> None:
        self._event.record()

    def reached(self) -> bool:
        return bool(self._event.query())

    def wait(self) -> None:
        self._event.synchronize()

    def since(self, earlier: TorchEvent) -> float:
        return float(earlier._event.elapsed_time(self._event)) * 1e-3


class TorchStream:
    """torch's current stream, on which Triton launches too."""

    def __init__(self) -> None:
        self._cycles_per_s = max(self._sleep_rate() for _ in range(_CALIBRATIONS))

    def _sleep_rate(self) -> float:
        """Cycles a second that torch's sleep kernel counts now. torch's `clock_rate` is no longer a property of every CUDA."""
        begin, end = TorchEvent(), TorchEvent()
        begin.record()
        torch.cuda._sleep(_CALIBRATION_CYCLES)
        end.record()
        end.wait()
        return _CALIBRATION_CYCLES / end.since(begin)

    def event(self) -> TorchEvent:
        return TorchEvent()

    def hold(self, seconds: float) -> None:
        torch.cuda._sleep(int(seconds * self._cycles_per_s))

    def record_graph(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        return graph.replay

    def wait(self) -> None:
        torch.cuda.synchronize()

    def now(self) -> float:
        return time.perf_counter()
