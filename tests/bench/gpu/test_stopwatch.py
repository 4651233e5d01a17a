"""Timing on a simulated GPU, whose true durations are known: the figures must be those, whatever the host does."""

from __future__ import annotations

import pytest

from dsabench.bench import timing as timing_module
from dsabench.bench.effort import TimingPolicy
from dsabench.bench.gpu.clocks import Backlog, EventClock, GraphClock
from dsabench.bench.gpu.stopwatch import GpuStopwatch, time_on_gpu
from dsabench.bench.records import Conditions
from dsabench.bench.timing import Rotation
from tests.bench.gpu.simulated import SimulatedCache, SimulatedKernel, SimulatedStream

POLICY = TimingPolicy(
    sample_s=0.5e-3, warmup_s=0.01, least_samples=6, most_samples=50, target=0.01, time_s=0.2, patience_s=1.0
)
L2 = 60 * 2**20


class Watcher:
    def __init__(self, throttled: dict[str, int] | None = None) -> None:
        self.samples = 0
        self.throttled = throttled or {}

    def sample(self) -> None:
        self.samples += 1

    def reset(self) -> None:
        self.samples = 0

    def conditions(self, sustained: bool) -> Conditions:
        return Conditions(
            readings=self.samples, sm_mhz=None, memory_mhz=None, power_w=None, temperature_c=None,
            throttled=self.throttled, regime="sustained" if sustained else "burst",
        )  # fmt: skip


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> SimulatedStream:
    made = SimulatedStream()
    monkeypatch.setattr(timing_module.time, "perf_counter", lambda: made.host)
    return made


def a_kernel(
    stream: SimulatedStream, cold_s: float, warm_s: float = 0.0, each: int = 4 * 2**20, **more
) -> SimulatedKernel:
    return SimulatedKernel(stream, SimulatedCache(L2), cold_s, warm_s or cold_s, each, **more)


def test_an_event_pair_alone_times_the_host_and_the_backlog_does_not(stream: SimulatedStream) -> None:
    kernel = a_kernel(stream, 3e-6)
    start, end = stream.event(), stream.event()
    start.record()
    for copy in range(10):
        kernel(copy)
    end.record()
    end.wait()
    assert end.since(start) > 3 * 30e-6, "the simulation shows the trap"
    clock = EventClock(stream, Backlog(stream))
    clock.measure(kernel, [0])
    assert clock.measure(kernel, list(range(10))) == pytest.approx(30e-6)


def test_a_hold_that_was_too_short_is_lengthened_and_the_stretch_timed_again(stream: SimulatedStream) -> None:
    stream.launch_s = 100e-6
    backlog = Backlog(stream)
    kernel = a_kernel(stream, 5e-6)
    assert EventClock(stream, backlog).measure(kernel, [0, 1, 2, 3]) == pytest.approx(20e-6)
    assert backlog.host_bound == 0
    assert stream.held == [pytest.approx(20e-6), pytest.approx(600e-6)]


def test_a_call_that_waits_for_the_gpu_is_timed_with_the_host_and_counted(stream: SimulatedStream) -> None:
    backlog = Backlog(stream)
    clock = EventClock(stream, backlog)
    kernel = a_kernel(stream, 5e-6, waits=True)
    assert clock.measure(kernel, [0, 1]) > 20e-6
    assert backlog.host_bound == 1
    calls = len(kernel.calls)
    clock.measure(kernel, [0, 1])
    assert backlog.host_bound == 2
    assert len(kernel.calls) == calls + 2, "what is hopeless is not tried three times again"


def test_a_flush_stands_outside_the_timed_stretch_and_makes_every_call_cold(stream: SimulatedStream) -> None:
    kernel = a_kernel(stream, 9e-6, 3e-6)
    warm = EventClock(stream, Backlog(stream))
    warm.measure(kernel, [0])
    assert warm.measure(kernel, [0, 0, 0]) == pytest.approx(9e-6)
    cold = EventClock(stream, Backlog(stream), kernel.flush)
    assert cold.measure(kernel, [0, 0, 0]) == pytest.approx(27e-6)


def test_a_graph_replays_whole_rounds_without_the_host_between_calls(stream: SimulatedStream) -> None:
    stream.launch_s = 1e-3
    kernel = a_kernel(stream, 4e-6)
    clock = GraphClock(stream, Backlog(stream), kernel, [0, 1, 2])
    assert kernel.calls == [], "recording runs nothing"
    assert clock.measure(kernel, [0, 1, 2, 0, 1, 2]) == pytest.approx(24e-6)
    assert kernel.calls[-6:] == [0, 1, 2, 0, 1, 2]
    with pytest.raises(AssertionError):
        clock.measure(kernel, [0, 1])


@pytest.mark.parametrize("cold_s", [4e-6, 150e-6, 2e-3])
def test_rotated_inputs_are_cold_in_graphs_and_behind_events(stream: SimulatedStream, cold_s: float) -> None:
    kernel = a_kernel(stream, cold_s, cold_s / 2)
    rotation = Rotation(3 * L2 // (4 * 2**20) + 1)
    stopwatch = GpuStopwatch(stream, kernel, rotation, None, True, Watcher())
    timed = time_on_gpu(stopwatch, POLICY, Watcher(), 0)
    assert timed.cold.median_s == pytest.approx(cold_s, rel=1e-6)
    assert timed.cold.inputs == "cold"
    assert timed.cold.clock == ("cuda_graph" if cold_s < 200e-6 else "cuda_events")
    assert timed.cold.host_bound == 0
    assert timed.warm is not None
    assert timed.warm.median_s == pytest.approx(cold_s / 2, rel=1e-6)
    assert timed.warm.inputs == "warm"
    assert kernel.calls[-1] == rotation.last, "what is checked afterwards is what the last cold call wrote"


def test_too_few_copies_are_cold_by_a_flush_before_each_call(stream: SimulatedStream) -> None:
    kernel = a_kernel(stream, 8e-6, 2e-6)
    stopwatch = GpuStopwatch(stream, kernel, Rotation(2), kernel.flush, True, Watcher())
    timed = time_on_gpu(stopwatch, POLICY, Watcher(), 3 * L2)
    assert timed.cold.median_s == pytest.approx(8e-6)
    assert timed.cold.clock == "cuda_events"
    assert timed.cold.flush_bytes == 3 * L2
    assert timed.cold.calls_per_sample <= 2
    assert timed.warm is not None
    assert timed.warm.median_s == pytest.approx(2e-6)


def test_a_call_without_a_plan_is_never_recorded(stream: SimulatedStream) -> None:
    kernel = a_kernel(stream, 4e-6)
    stopwatch = GpuStopwatch(stream, kernel, Rotation(50), None, False, Watcher())
    assert time_on_gpu(stopwatch, POLICY, Watcher(), 0).cold.clock == "cuda_events"
    assert stream.graphs == 0


def test_what_disturbed_the_samples_is_kept_with_them_and_said(stream: SimulatedStream) -> None:
    watcher = Watcher({"sw_power_cap": 3})
    kernel = a_kernel(stream, 5e-6, waits=True)
    stopwatch = GpuStopwatch(stream, kernel, Rotation(50), None, False, watcher)
    timed = time_on_gpu(stopwatch, POLICY, watcher, 0)
    assert timed.cold.conditions is not None
    assert timed.cold.conditions.regime == "burst"
    assert timed.cold.conditions.readings >= timed.cold.n, "the state is read while samples run, not in the warm-up"
    assert timed.cold.host_bound == timed.cold.n
    assert "sw_power_cap held the clock down in 3" in timed.note
    assert "the GPU waited for the host" in timed.note


@pytest.mark.parametrize(("launch_s", "regime"), [(10e-6, "sustained"), (2e-3, "burst")])
def test_a_second_of_work_before_the_samples_is_sustained(
    stream: SimulatedStream, launch_s: float, regime: str
) -> None:
    """Where the host is slow the GPU spends most of that time held, not at work."""
    stream.launch_s = launch_s
    kernel = a_kernel(stream, 1e-3)
    policy = TimingPolicy(1e-3, 1.2, 6, 50, 0.01, 0.2, 5.0)
    stopwatch = GpuStopwatch(stream, kernel, Rotation(50), None, True, Watcher())
    timed = time_on_gpu(stopwatch, policy, Watcher(), 0)
    assert timed.cold.conditions is not None
    assert timed.cold.conditions.regime == regime
    assert timed.cold.median_s == pytest.approx(1e-3)
