"""The one NVIDIA GPU that a worker sees, as its device."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import torch

from dsabench.bench.effort import TimingPolicy
from dsabench.bench.faults import Fault
from dsabench.bench.gpu.ceilings import measure_gpu_ceilings
from dsabench.bench.gpu.clocks import Backlog, EventClock, StagedClock
from dsabench.bench.gpu.conditions import Observer
from dsabench.bench.gpu.device_record import gpu_device
from dsabench.bench.gpu.faults import cuda_fault
from dsabench.bench.gpu.flush import GpuFlush
from dsabench.bench.gpu.measuring import gpu_parts
from dsabench.bench.gpu.nvml import open_sensor
from dsabench.bench.gpu.spin import GpuSpin
from dsabench.bench.gpu.stopwatch import GpuStopwatch, time_on_gpu
from dsabench.bench.gpu.stream import TorchStream
from dsabench.bench.records import Ceilings, DeviceRecord
from dsabench.bench.runtime import CopyRoom, Stopwatch, Timed
from dsabench.bench.selfcheck import MeasuringParts
from dsabench.bench.timing import Call, Rotation

_TOUCH = 3
"""One round through the copies touches this many times the L2: its replacement is not strictly least-recently-used, and each half of
Hopper's L2 may hold a copy of what the other has."""
_MOST_COPIES = 8192
_FEW_COPIES = 64
_COPIES_SHARE = 4  # of the free memory
_KEPT_SHARE = 3
_SLOWED_SAMPLES = 5


class GpuRuntime:
    """Opens the CUDA context of this process."""

    def __init__(self) -> None:
        self.device = torch.device("cuda", 0)
        torch.cuda.init()
        self._properties = torch.cuda.get_device_properties(0)
        self.kept_bytes = self._properties.total_memory // _KEPT_SHARE
        self._sensor = open_sensor(str(self._properties.uuid))
        self._stream = TorchStream()
        self._flush = GpuFlush(_TOUCH * self._properties.L2_cache_size)
        self._observer = Observer(self._sensor)
        self._staged = StagedClock(self._stream, Backlog(self._stream, self._observer.sample), self._flush)

    def describe(self) -> DeviceRecord:
        return gpu_device(self._sensor)

    def measure_ceilings(self, seconds: float) -> Ceilings:
        clock = EventClock(self._stream, Backlog(self._stream))
        return measure_gpu_ceilings(seconds, self._properties.L2_cache_size, clock)

    def measuring_parts(self) -> MeasuringParts:
        clock = EventClock(self._stream, Backlog(self._stream))
        return gpu_parts(clock, self._flush, self._properties.L2_cache_size)

    def copy_room(self) -> CopyRoom:
        free, _ = torch.cuda.mem_get_info()
        return CopyRoom(
            touch_bytes=_TOUCH * self._properties.L2_cache_size,
            room_bytes=free // _COPIES_SHARE,
            most=_MOST_COPIES,
            few=_FEW_COPIES,
        )

    def peak_extra_bytes(self, call: Callable[[], None]) -> int:
        """By torch's allocator, from which the plans take their workspaces; what a kernel takes from CUDA itself is not seen."""
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return max(0, torch.cuda.max_memory_allocated() - before)

    def time(self, call: Call, rotation: Rotation, policy: TimingPolicy, rotated: bool, planned: bool) -> Timed:
        stopwatch = self.stopwatch(call, rotation, rotated, planned)
        return time_on_gpu(stopwatch, policy, self._observer, self._flush.bytes)

    def stopwatch(self, call: Call, rotation: Rotation, rotated: bool, planned: bool) -> GpuStopwatch:
        flush = None if rotated else self._flush
        return GpuStopwatch(self._stream, call, rotation, flush, planned, self._observer)

    def slowed(self, call: Call, by: float, watch: Stopwatch) -> Call:
        """By a spin of one length after each call: the host does not know what a call takes when it queues it."""
        spin = GpuSpin(self.device)
        extra_s = by * statistics.median(watch.sample() for _ in range(_SLOWED_SAMPLES))

        def slow(copy: int) -> None:
            call(copy)
            spin(extra_s)

        return slow

    def stage_times(self, stages: Sequence[Callable[[], None]]) -> list[float]:
        return self._staged.measure(stages)

    def free_bytes(self) -> int:
        torch.cuda.empty_cache()  # what torch keeps of freed tensors is not free for CUDA, but will be for the next ones
        return int(torch.cuda.mem_get_info()[0])

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def classify(self, error: BaseException) -> Fault:
        return cuda_fault(error)
