"""Intervals against tables of order statistics and against their coverage in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dsabench.bench.intervals import median_interval, order_statistic_rank, paired_ratio, thin


@pytest.mark.parametrize(
    ("n", "rank", "coverage"),
    # Conover, Practical Nonparametric Statistics, table of the sign test: widest rank with coverage of 95 %.
    [
        (6, 1, 0.96875),
        (8, 1, 0.9921875),
        (9, 2, 0.9609375),
        (10, 2, 0.978515625),
        (20, 6, 0.95861053),
        (50, 18, 0.967161),
    ],
)
def test_ranks_and_coverage_are_those_of_the_published_tables(n, rank, coverage):
    found_rank, found_coverage = order_statistic_rank(n, 0.95)
    assert found_rank == rank
    assert found_coverage == pytest.approx(coverage, abs=1e-6)


@pytest.mark.parametrize("n", [6, 17, 40, 101, 400])
def test_rank_is_the_largest_that_the_binomial_allows(n):
    rank, coverage = order_statistic_rank(n, 0.95)
    assert coverage == pytest.approx(1 - 2 * stats.binom.cdf(rank - 1, n, 0.5), abs=1e-9)
    assert coverage >= 0.95
    assert 1 - 2 * stats.binom.cdf(rank, n, 0.5) < 0.95


@pytest.mark.parametrize(("n", "coverage"), [(1, 0.0), (2, 0.5), (3, 0.75), (5, 0.9375)])
def test_too_few_samples_give_their_range_and_say_what_it_covers(n, coverage):
    samples = [float(i) for i in range(n)]
    assert median_interval(samples) == (0.0, n - 1.0, pytest.approx(coverage))


def test_no_samples_are_an_error():
    with pytest.raises(ValueError, match="no samples"):
        median_interval([])


@pytest.mark.parametrize("n", [9, 30])
def test_a_skewed_distributions_median_is_covered_as_often_as_stated(n):
    """Timings are skewed: a lognormal stands for them. 4000 draws put the standard error of the coverage below 0.35 %."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(4000):
        low, high, confidence = median_interval(rng.lognormal(0.0, 0.8, n).tolist())
        hits += low <= 1.0 <= high
    assert hits / 4000 == pytest.approx(confidence, abs=0.012)


def test_pairing_cancels_what_slows_a_whole_round():
    rng = np.random.default_rng(3)
    disturbance = rng.lognormal(0.0, 1.0, 15)
    one, two = disturbance * 1.1, disturbance * 1.0
    paired = paired_ratio(one.tolist(), two.tolist(), seed=0)
    assert paired.low == pytest.approx(1.1)
    assert paired.high == pytest.approx(1.1)
    unpaired = paired_ratio(one.tolist(), rng.permutation(two).tolist(), seed=0)
    assert unpaired.high - unpaired.low > 0.1


def test_the_bootstraps_interval_covers_the_true_ratio():
    rng = np.random.default_rng(11)
    hits = 0
    for trial in range(300):
        shared = rng.lognormal(0.0, 0.2, 21)
        above = 1.05 * shared * rng.lognormal(0.0, 0.03, 21)
        below = shared * rng.lognormal(0.0, 0.03, 21)
        found = paired_ratio(above.tolist(), below.tolist(), seed=trial)
        hits += found.low <= 1.05 <= found.high
    # A percentile bootstrap of a median is somewhat conservative at 21 rounds; far below 90 % it would be wrong.
    assert hits / 300 >= 0.90


def test_the_same_seed_gives_the_same_interval():
    above, below = [1.0, 1.3, 1.2, 1.1, 1.6], [1.0, 1.1, 1.4, 0.9, 1.2]
    assert paired_ratio(above, below, seed=5) == paired_ratio(above, below, seed=5)


def test_rounds_of_different_lengths_are_an_error():
    with pytest.raises(ValueError, match="one length"):
        paired_ratio([1.0, 2.0], [1.0], seed=0)


def test_thinning_keeps_the_ends_and_the_order():
    samples = [float(i) for i in range(1000)]
    kept = thin(samples, 200)
    assert len(kept) == 200
    assert (kept[0], kept[-1]) == (0.0, 999.0)
    assert kept == sorted(kept)
    assert thin(samples[:5], 200) == samples[:5]
