"""The statistics against what they claim, on drawn passes with known variances."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dsabench.bench.gate.estimate import Pass, estimate, squares, typical_variance


def drawn(rng, passes, process=0.01, rounds=25, jitter=0.01, change=0.0):
    """Passes of one row whose processes differ by `process` and whose rounds by `jitter`, a drift common to all of a round."""
    found = []
    for _ in range(passes):
        drift = rng.normal(0, 0.05, rounds)
        sides = [rng.normal(0, process) + drift + rng.normal(0, jitter, rounds) for _ in range(3)]
        sides[2] += math.log1p(change)
        found.append(Pass(*(tuple(1e-3 * np.exp(side)) for side in sides)))
    return found


def test_change_and_sameness_are_what_was_put_in_whatever_drifts():
    (found,) = drawn(np.random.default_rng(0), 1, process=0.0, jitter=0.0, change=0.07)
    assert found.change == pytest.approx(math.log(1.07), abs=1e-9)
    assert found.same == pytest.approx(0.0, abs=1e-9)


def test_variance_of_one_process_is_estimated_without_bias():
    rng = np.random.default_rng(1)
    rows = [drawn(rng, 3, process=0.02, jitter=0.0, change=0.3) for _ in range(400)]
    mean = np.mean([total / df for total, df in map(squares, rows)])
    assert mean == pytest.approx(0.02**2, rel=0.08)


@pytest.mark.parametrize("passes", [2, 6])
def test_interval_and_noise_hold_what_they_promise(passes):
    rng = np.random.default_rng(passes)
    covered = beyond = above = count = 0
    for _ in range(60):
        rows = [drawn(rng, passes, jitter=0.0) for _ in range(10)]
        typical = typical_variance(rows)
        for row in rows:
            found = estimate(row, typical)
            count += 1
            covered += found.low <= 1.0 <= found.high
            above += found.upper < 1.0
            beyond += found.ratio > 1.0 + found.noise
    assert covered / count == pytest.approx(0.95, abs=0.03)
    assert above / count == pytest.approx(0.05, abs=0.03)
    assert beyond / count < 0.015


def test_more_passes_make_the_noise_smaller():
    rng = np.random.default_rng(5)
    two, six = (np.mean([estimate(drawn(rng, n), 1e-4).noise for _ in range(100)]) for n in (2, 6))
    assert six < 0.5 * two


def test_a_row_is_drawn_towards_the_typical_one():
    quiet = [Pass((1.0,) * 9, (1.0,) * 9, (1.0,) * 9)] * 2
    assert estimate(quiet, 0.0).noise == 0.0
    assert estimate(quiet, 1e-4).noise > 0.01


def test_nothing_measured_is_no_estimate():
    with pytest.raises(ValueError, match="no pass"):
        estimate([], 1e-4)
    assert typical_variance([]) == 0.0
    assert typical_variance([[]]) == 0.0
