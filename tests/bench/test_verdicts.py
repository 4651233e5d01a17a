from __future__ import annotations

import itertools

import numpy as np
import pytest

from dsabench.bench.intervals import RatioInterval, paired_ratio
from dsabench.bench.verdicts import PairVerdict, is_tie, noise_floor, pair_verdicts


def rounds(medians: list[float], n: int, seed: int, jitter: float = 0.02, common: float = 0.2) -> list[list[float]]:
    """n rounds of entries with these medians: log-normal jitter of each sample, and a disturbance that all of a round share."""
    rng = np.random.default_rng(seed)
    shared = np.exp(common * rng.standard_normal(n))
    return [list(median * shared * np.exp(jitter * rng.standard_normal(n))) for median in medians]


def judged(medians: list[float], n: int, seed: int) -> list[PairVerdict]:
    """Verdicts of all entries, with the noise of a second measurement of the first."""
    *entries, duplicate = rounds([*medians, medians[0]], n, seed)
    return pair_verdicts(entries, noise_floor(paired_ratio(duplicate, entries[0], seed)), seed)


def test_the_noise_is_what_a_config_differs_from_itself():
    assert noise_floor(RatioInterval(1.01, 0.98, 1.03)) == pytest.approx(0.03)
    assert noise_floor(RatioInterval(1.05, 1.04, 1.06)) == pytest.approx(0.06)
    assert noise_floor(RatioInterval(1.0, 1.0, 1.0)) == 0.0


@pytest.mark.parametrize(
    ("ratio", "noise", "tie"),
    [
        (RatioInterval(1.10, 0.99, 1.20), 0.0, True),
        (RatioInterval(1.10, 1.05, 1.20), 0.0, False),
        (RatioInterval(1.02, 1.01, 1.03), 0.03, True),
        (RatioInterval(0.98, 0.97, 0.99), 0.03, True),
        (RatioInterval(0.80, 0.70, 0.90), 0.03, False),
    ],
)
def test_a_tie_is_an_interval_with_1_in_it_or_a_gap_within_the_noise(ratio, noise, tie):
    assert is_tie(ratio, noise) is tie


def test_known_ratios_are_found():
    found = judged([1.0, 2.0, 1.2], 15, seed=1)
    assert [(p.first, p.second, p.verdict) for p in found] == [(0, 1, "faster"), (0, 2, "faster"), (1, 2, "slower")]
    for pair, ratio in zip(found, [0.5, 1 / 1.2, 2.0 / 1.2], strict=True):
        assert pair.ratio is not None
        assert pair.ratio.low <= ratio <= pair.ratio.high
        assert pair.ratio.high / pair.ratio.low < 1.2  # the disturbance of whole rounds cancels


def test_a_clear_order_is_found_from_three_rounds():
    assert [p.verdict for p in judged([1.0, 2.0, 4.0], 3, seed=0)] == ["faster", "faster", "faster"]


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_rounds_are_too_few(n):
    assert [(p.ratio, p.verdict) for p in judged([1.0, 5.0], n, seed=0)] == [(None, "too few")]
    assert [p.verdict for p in pair_verdicts([[], []], 0.0, 0)] == ["too few"]


def test_equals_are_ties():
    """Of 300 pairs of equals at most 5 % may come out unequal."""
    unequal = sum(p.verdict != "tie" for seed in range(100) for p in judged([1.0, 1.0, 1.0], 15, seed))
    assert unequal <= 15


@pytest.mark.parametrize("ratio", [1.0, 1.5])
def test_the_interval_covers_the_true_ratio(ratio):
    """95 % intervals of 200 runs of 25 rounds: at least 90 % hold the truth (the bootstrap of few rounds is a little narrow)."""
    held = 0
    for seed in range(200):
        (pair,) = pair_verdicts(rounds([ratio, 1.0], 25, seed), 0.0, seed)
        assert pair.ratio is not None
        held += pair.ratio.low <= ratio <= pair.ratio.high
    assert held >= 180


def test_a_pair_is_the_same_from_both_sides():
    entries = rounds([1.0, 1.04, 1.5], 9, seed=4)
    for noise in (0.0, 0.03, 0.041, 0.2):
        by_pair = {(p.first, p.second): p for p in pair_verdicts(entries, noise, 0)}
        turned = {(2 - p.first, 2 - p.second): p for p in pair_verdicts(entries[::-1], noise, 0)}
        for i, j in itertools.combinations(range(3), 2):
            ours, theirs = by_pair[i, j], turned[j, i].mirrored()
            assert ours.verdict == theirs.verdict
            assert ours.ratio == pytest.approx(theirs.ratio, rel=1e-3)


def test_the_mirror_of_a_pair():
    pair = PairVerdict(0, 3, RatioInterval(2.0, 1.6, 2.5), "slower").mirrored()
    assert (pair.first, pair.second, pair.verdict) == (3, 0, "faster")
    assert pair.ratio == pytest.approx((0.5, 0.4, 0.625))
    assert PairVerdict(0, 1, None, "too few").mirrored() == PairVerdict(1, 0, None, "too few")


def test_entries_of_different_rounds_are_refused():
    with pytest.raises(ValueError, match=r"must have the same rounds, got \[3, 2\]"):
        pair_verdicts([[1.0, 1.0, 1.0], [1.0, 1.0]], 0.0, 0)


def test_one_entry_has_no_pair():
    assert pair_verdicts([[1.0, 1.0, 1.0]], 0.0, 0) == []
