"""The timing loop on a clock that a test controls: no real time is asserted."""

from __future__ import annotations

import gc
import itertools
from dataclasses import dataclass, field

import pytest

from dsabench.bench import timing as timing_module
from dsabench.bench.effort import FULL, QUICK, TimingPolicy
from dsabench.bench.timing import Rotation, calls_for, time_calls


@dataclass
class FakeClock:
    """Each call takes the next of `durations`; `now` is what time.perf_counter says."""

    durations: itertools.cycle
    now: float = 0.0
    name: str = "wall"
    stretches: list = field(default_factory=list)

    def measure(self, call, copies):
        assert not gc.isenabled()
        self.stretches.append(copies)
        total = 0.0
        for copy in copies:
            call(copy)
            total += next(self.durations)
        self.now += total
        return total


POLICY = TimingPolicy(
    sample_s=1e-3, warmup_s=2e-3, least_samples=6, most_samples=50, target=0.02, time_s=1.0, patience_s=20.0
)


def timed(monkeypatch, durations, policy=POLICY, copies=4, flush=None):
    clock = FakeClock(itertools.cycle(durations))
    monkeypatch.setattr(timing_module.time, "perf_counter", lambda: clock.now)
    used = []
    found = time_calls(used.append, Rotation(copies), policy, clock, flush, 64)
    return found, clock, used


def test_steady_calls_stop_at_the_least_samples_by_their_interval(monkeypatch):
    found, _clock, used = timed(monkeypatch, [1e-4])
    assert found.stopped_by == "interval"
    assert found.n == 6
    assert found.calls_per_sample == 10
    assert found.warmup_calls == 20
    assert found.median_s == pytest.approx(1e-4)
    assert len(used) == 20 + 6 * 10
    assert used == [i % 4 for i in range(80)], "every call takes the next copy, warm-up and samples alike"
    assert found.flush_bytes == 0


def test_noisy_calls_stop_at_the_time_limit_and_say_so(monkeypatch):
    found, _clock, _ = timed(monkeypatch, [0.01 * i for i in (1, 5, 2, 4, 3, 9, 7)])
    assert found.stopped_by == "time"
    assert found.low_s < found.high_s
    assert sum(found.samples_s) >= 1.0


def test_noisy_short_calls_stop_at_the_most_samples(monkeypatch):
    found, _, _ = timed(monkeypatch, [1e-3, 2e-3])
    assert found.stopped_by == "samples"
    assert found.n == 50


def test_a_call_of_seconds_is_not_waited_for_six_times(monkeypatch):
    found, _, _ = timed(monkeypatch, [9.0])
    assert found.stopped_by == "time"
    assert found.n == 3
    assert found.confidence == pytest.approx(0.75)
    assert (found.low_s, found.high_s) == (9.0, 9.0)


def test_with_a_flush_no_sample_uses_a_copy_twice(monkeypatch):
    flushes = []
    found, clock, _ = timed(monkeypatch, [1e-6], copies=4, flush=lambda: flushes.append(1))
    assert found.calls_per_sample == 4
    assert len(flushes) == found.n
    assert found.flush_bytes == 64
    assert all(len(set(stretch)) == len(stretch) for stretch in clock.stretches)


def test_garbage_collection_is_off_while_timing_and_restored_when_the_kernel_raises():
    def broken(copy):
        raise RuntimeError("no")

    assert gc.isenabled()
    with pytest.raises(RuntimeError):
        time_calls(broken, Rotation(1), POLICY, timing_module.WallClock(), None, 0)
    assert gc.isenabled()


def test_samples_are_kept_up_to_200(monkeypatch):
    policy = TimingPolicy(1e-9, 0.0, 6, 500, 0.0, 1e9, 1e9)
    found, _, _ = timed(monkeypatch, [1.0 + (i * 37 % 100) / 100 for i in range(100)], policy)
    assert found.n == 500
    assert len(found.samples_s) == 200
    assert found.min_s == 1.0
    assert (found.p10_s, found.median_s, found.p90_s) == pytest.approx((1.1, 1.495, 1.89), abs=0.011)


@pytest.mark.parametrize(
    ("sample", "call", "most", "calls"),
    [(1e-3, 1e-4, 100, 10), (1e-3, 3e-4, 100, 4), (1e-3, 5.0, 100, 1), (1e-3, 1e-9, 7, 7)],
)
def test_calls_a_sample(sample, call, most, calls):
    assert calls_for(sample, call, most) == calls


def test_a_rotation_comes_back_to_a_copy_only_after_all_others():
    rotation = Rotation(3)
    assert rotation.take(2) == [0, 1]
    assert rotation.take(5) == [2, 0, 1, 2, 0]
    assert rotation.last == 0
    assert rotation.take(1) == [1]


@pytest.mark.parametrize("effort", [QUICK, FULL])
def test_a_cheaper_rung_is_cheaper_in_every_way(effort):
    full, cheap = effort.timing, effort.timing.cheaper(1 / 9)
    assert cheap.time_s == pytest.approx(full.time_s / 9)
    assert cheap.target == pytest.approx(full.target * 3)
    assert 3 <= cheap.least_samples <= full.least_samples
    assert cheap.most_samples < full.most_samples
