"""Stages of one run timed on a simulated GPU, whose true durations are known."""

from __future__ import annotations

import pytest

from dsabench.bench.gpu.clocks import Backlog, StagedClock
from tests.bench.gpu.simulated import SimulatedCache, SimulatedKernel, SimulatedStream


@pytest.fixture
def stream() -> SimulatedStream:
    return SimulatedStream()


def test_each_stage_has_its_own_time_and_none_has_the_hosts_or_the_flushs(stream: SimulatedStream) -> None:
    flushed = []

    def flush() -> None:
        flushed.append(stream.done)
        stream.launch(lambda: 60e-6)

    stages = [lambda s=seconds: stream.launch(lambda: s) for seconds in (30e-6, 2e-6, 1e-6, 12e-6)]
    clock = StagedClock(stream, Backlog(stream), flush)
    clock.measure(stages)
    flushed.clear()
    assert clock.measure(stages) == pytest.approx([30e-6, 2e-6, 1e-6, 12e-6])
    assert len(flushed) == 1, "one flush, before the first stage"


def test_a_stage_finds_in_the_cache_what_the_stage_before_it_left_and_nothing_older(stream: SimulatedStream) -> None:
    kernel = SimulatedKernel(stream, SimulatedCache(2**20), cold_s=9e-6, warm_s=4e-6, input_bytes=2**10)
    clock = StagedClock(stream, Backlog(stream), kernel.flush)
    for _ in range(3):
        assert clock.measure([lambda: kernel(0), lambda: kernel(0), lambda: kernel(1)]) == pytest.approx(
            [9e-6, 4e-6, 9e-6]
        )


def test_a_run_that_the_gpu_overtook_is_repeated_behind_a_longer_hold(stream: SimulatedStream) -> None:
    stream.launch_s = 100e-6
    backlog = Backlog(stream)
    stages = [lambda: stream.launch(lambda: 5e-6)] * 3
    assert StagedClock(stream, backlog, lambda: None).measure(stages) == pytest.approx([5e-6] * 3)
    assert backlog.host_bound == 0
    assert stream.held == [pytest.approx(20e-6), pytest.approx(450e-6)]


def test_a_stage_that_waits_for_the_gpu_is_counted_as_host_bound(stream: SimulatedStream) -> None:
    def waiting() -> None:
        stream.launch(lambda: 5e-6)
        stream.wait()

    backlog = Backlog(stream)
    times = StagedClock(stream, backlog, lambda: None).measure([waiting, waiting])
    assert all(seconds >= 5e-6 for seconds in times)
    assert backlog.host_bound == 1
