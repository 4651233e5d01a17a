"""A known duration, timed."""

from __future__ import annotations

import time

import pytest

from dsabench.bench.effort import TimingPolicy
from dsabench.bench.spin import spin
from dsabench.bench.timing import Rotation, WallClock, time_calls


@pytest.mark.parametrize("seconds", [0.2e-3, 1e-3])
def test_a_spin_is_timed_within_a_hundredth(seconds: float) -> None:
    # Many short samples: on a busy machine the median is of those that nobody interrupted.
    policy = TimingPolicy(
        sample_s=seconds,
        warmup_s=0.02,
        least_samples=301,
        most_samples=301,
        target=0.0,
        time_s=10.0,
        patience_s=20.0,
    )
    timing = time_calls(lambda copy: spin(seconds), Rotation(1), policy, WallClock(), None, 0)
    assert timing.n == 301
    assert timing.min_s >= seconds, "a spin cannot be shorter than it is meant to be"
    assert timing.median_s == pytest.approx(seconds, rel=0.01)


def test_a_spin_of_nothing_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([1.0, 1.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(looks))
    spin(0.0)
    assert next(looks, None) is None
