"""The CPU as a worker's device: the wall clock, the last-level cache, the process's memory."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import numba
import torch

from dsabench.bench.ceilings import measure_ceilings
from dsabench.bench.cpu_measuring import cpu_parts
from dsabench.bench.device import cpu_device, last_level_cache
from dsabench.bench.effort import TimingPolicy
from dsabench.bench.faults import Fault, python_fault
from dsabench.bench.flush import Flush
from dsabench.bench.load import cores_taken, load_note, load_snapshot
from dsabench.bench.memory import available_bytes, limit_memory, peak_extra_bytes
from dsabench.bench.records import Ceilings, DeviceRecord
from dsabench.bench.runtime import CopyRoom, Stopwatch, Timed
from dsabench.bench.selfcheck import MeasuringParts
from dsabench.bench.spin import spin
from dsabench.bench.timing import Call, Rotation, WallClock, calls_for, time_calls, warm_up
from dsabench.kernels.cpu.memory import release_scratch
from dsabench.kernels.machine import usable_cpus

_COPIES_BYTES = 2**30
_MOST_COPIES = 2048
_FLUSHED_COPIES = 64
"""Copies where a flush before each sample does the rest: calls of 8 µs still fill a sample of 0.5 ms."""
_KEPT_BYTES = 2 * 2**30
_WARM_UP_BELOW_S = 0.05  # a call this long is warm before its end


class CpuRuntime:
    """Settles this process's threads and bounds its memory."""

    device = torch.device("cpu")
    kept_bytes = _KEPT_BYTES

    def __init__(self) -> None:
        threads = usable_cpus()
        # In this order: numba's thread pool resets torch's thread count when it starts.
        numba.set_num_threads(threads)
        torch.set_num_threads(threads)
        limit_memory()
        self._cache_bytes = last_level_cache()[0]
        self._flush = Flush(self._cache_bytes)

    def describe(self) -> DeviceRecord:
        return cpu_device()

    def measure_ceilings(self, seconds: float) -> Ceilings:
        return measure_ceilings(seconds, self._cache_bytes)

    def measuring_parts(self) -> MeasuringParts:
        return cpu_parts(self._flush, self._cache_bytes)

    def copy_room(self) -> CopyRoom:
        return CopyRoom(
            touch_bytes=2 * self._cache_bytes,
            room_bytes=min(_COPIES_BYTES, available_bytes() // 4),
            most=_MOST_COPIES,
            few=_FLUSHED_COPIES,
        )

    def peak_extra_bytes(self, call: Callable[[], None]) -> int | None:
        release_scratch()  # what the CPU kernels keep between calls is part of what a call needs
        return peak_extra_bytes(call)

    def time(self, call: Call, rotation: Rotation, policy: TimingPolicy, rotated: bool, planned: bool) -> Timed:
        before = load_snapshot()
        flush = None if rotated else self._flush
        timing = time_calls(call, rotation, policy, WallClock(), flush, self._flush.bytes)
        return Timed(timing, None, load_note(cores_taken(before, load_snapshot()), usable_cpus()))

    def stopwatch(self, call: Call, rotation: Rotation, rotated: bool, planned: bool) -> WallStopwatch:
        return WallStopwatch(call, rotation, None if rotated else self._flush)

    def slowed(self, call: Call, by: float, watch: Stopwatch) -> Call:
        """By a share of what each call took: the machine may be slower when `watch` is asked than when it counts."""

        def slow(copy: int) -> None:
            begin = time.perf_counter()
            call(copy)
            spin(by * (time.perf_counter() - begin))

        return slow

    def stage_times(self, stages: Sequence[Callable[[], None]]) -> list[float]:
        self._flush()
        marks = [time.perf_counter_ns()]
        for stage in stages:
            stage()
            marks.append(time.perf_counter_ns())
        return [(end - begin) * 1e-9 for begin, end in itertools.pairwise(marks)]

    def free_bytes(self) -> int:
        return available_bytes()

    def synchronize(self) -> None:
        pass  # a call returns when it is done

    def classify(self, error: BaseException) -> Fault:
        return python_fault(error)


class WallStopwatch:
    """By the wall clock; `flush`, where given, runs before each sample, which then never uses a copy twice."""

    def __init__(self, call: Call, rotation: Rotation, flush: Flush | None) -> None:
        self._call = call
        self._rotation = rotation
        self._flush = flush
        self._clock = WallClock()
        self._calls = 1

    def prepare(self, sample_s: float) -> int:
        call_s = self._clock.measure(self._call, self._rotation.take(1))
        if call_s < _WARM_UP_BELOW_S:
            _, call_s = warm_up(self._call, self._rotation, self._clock, 0.0)
        self._calls = calls_for(sample_s, call_s, self._rotation.copies if self._flush else 100_000)
        return self._calls

    def settle(self, calls: int) -> None:
        self._calls = calls

    def sample(self) -> float:
        if self._flush:
            self._flush()
        return self._clock.measure(self._call, self._rotation.take(self._calls)) / self._calls
