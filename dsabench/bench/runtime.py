"""What a worker does differently on each kind of device: where inputs live, how a call is timed, how its end is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from dsabench.bench.effort import TimingPolicy
from dsabench.bench.faults import Fault
from dsabench.bench.records import Ceilings, DeviceRecord, Timing
from dsabench.bench.selfcheck import MeasuringParts
from dsabench.bench.timing import Call, Rotation


@dataclass(frozen=True)
class Timed:
    """cold: what decides; warm: the same on inputs that the call before left in the cache, where that was timed; note: what
    disturbed the device meanwhile, "" for nothing."""

    cold: Timing
    warm: Timing | None
    note: str


class Stopwatch(Protocol):
    """Times one config again and again, between the samples of others."""

    def prepare(self, sample_s: float) -> int:
        """Warms up and settles how many calls make a sample of `sample_s` seconds: that many."""
        ...

    def settle(self, calls: int) -> None:
        """Makes a sample of so many calls, or of the next more that it can: those who are compared take as many as the others."""
        ...

    def sample(self) -> float:
        """Seconds a call takes, on cold inputs."""
        ...


@dataclass(frozen=True)
class CopyRoom:
    """For the copies that calls rotate through: touch_bytes, what one round is to touch; room_bytes, memory they may take;
    most: how many there may be; few: how many where one round cannot touch enough and the cache is flushed instead."""

    touch_bytes: int
    room_bytes: int
    most: int
    few: int


class Runtime(Protocol):
    """The device a worker is bound to. `kept_bytes`: inputs of workloads kept built."""

    device: torch.device
    kept_bytes: int

    def describe(self) -> DeviceRecord: ...

    def measure_ceilings(self, seconds: float) -> Ceilings:
        """About `seconds` for each."""
        ...

    def measuring_parts(self) -> MeasuringParts:
        """What `bench.selfcheck` checks the measuring with."""
        ...

    def copy_room(self) -> CopyRoom: ...

    def peak_extra_bytes(self, call: Callable[[], None]) -> int | None:
        """Runs `call`; memory it takes at its highest beyond what was taken before. None where that cannot be read."""
        ...

    def time(self, call: Call, rotation: Rotation, policy: TimingPolicy, rotated: bool, planned: bool) -> Timed:
        """rotated: one round through the copies touches enough to keep inputs cold; planned: the call never waits for the
        device (an implementation with a plan), so that it can be recorded once and replayed."""
        ...

    def stopwatch(self, call: Call, rotation: Rotation, rotated: bool, planned: bool) -> Stopwatch: ...

    def slowed(self, call: Call, by: float, watch: Stopwatch) -> Call:
        """`call` made slower by that share of its time, with work of known duration. watch: times `call`, and may be asked now."""
        ...

    def stage_times(self, stages: Sequence[Callable[[], None]]) -> list[float]:
        """Runs the stages one after the other, once, on inputs that were pushed out of the cache before the first. Seconds of each
        as part of that run: what one leaves in the cache serves the next."""
        ...

    def free_bytes(self) -> int:
        """Memory of the device that is free now."""
        ...

    def synchronize(self) -> None:
        """Waits for the device; what a kernel did wrong is raised here at the latest."""
        ...

    def classify(self, error: BaseException) -> Fault: ...


def open_runtime(device: str) -> Runtime:
    """device: `cpu`, or `cuda` for the one GPU that this process sees."""
    if device == "cpu":
        from dsabench.bench.cpu_runtime import CpuRuntime

        return CpuRuntime()
    from dsabench.bench.gpu.runtime import GpuRuntime

    return GpuRuntime()
