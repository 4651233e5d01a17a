"""Exponents of synthetic curves, and prompts whose integral is known."""

from __future__ import annotations

import numpy as np
import pytest

from dsabench.bench.scaling.growth import growth
from dsabench.bench.scaling.prompt import prompt_times

LENGTHS = (4096, 8192, 16384, 32768, 65536, 131072)


def rounds(seconds, spread: float = 0.0, seed: int = 0, lengths=LENGTHS) -> dict[int, list[float]]:
    random = np.random.default_rng(seed)
    return {n: list(seconds(n) * np.exp(spread * random.standard_normal(15))) for n in lengths}


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_a_power_law_has_its_own_exponent(exponent):
    found = growth("dense", rounds(lambda n: 1e-9 * n**exponent), seed=0, expected=exponent)
    assert found.overall is not None
    assert found.local is not None
    assert found.overall.value == pytest.approx(exponent, abs=1e-9)
    assert found.local.value == pytest.approx(exponent, abs=1e-9)
    assert found.expected == exponent
    assert found.lengths == LENGTHS


def test_a_fixed_cost_flattens_the_fit_more_than_its_last_step():
    found = growth("indexer", rounds(lambda n: 1e-4 + 1e-8 * n), seed=0)
    assert found.overall is not None
    assert found.local is not None
    assert found.overall.value < 0.75
    assert 0.8 < found.local.value < 1.0


def test_the_interval_holds_the_true_exponent_about_as_often_as_it_says():
    held = 0
    for seed in range(200):
        found = growth("dense", rounds(lambda n: 1e-9 * n, 0.05, seed), seed)
        assert found.overall is not None
        assert found.overall.low < found.overall.value < found.overall.high
        held += found.overall.low <= 1.0 <= found.overall.high
    assert 0.90 <= held / 200 <= 1.0


def test_lengths_need_not_come_in_order():
    curve = rounds(lambda n: 1e-9 * n)
    shuffled = dict(reversed(list(curve.items())))
    assert growth("dense", shuffled, 0) == growth("dense", curve, 0)


def test_two_lengths_give_the_last_step_only_and_one_gives_nothing():
    two = growth("dense", rounds(lambda n: 1e-9 * n, lengths=LENGTHS[:2]), 0)
    assert two.overall is None
    assert two.local is not None
    assert two.local.value == pytest.approx(1.0)
    one = growth("dense", rounds(lambda n: 1e-9 * n, lengths=LENGTHS[:1]), 0)
    assert (one.overall, one.local) == (None, None)


def test_a_prompt_is_the_integral_of_its_tokens():
    linear = prompt_times({n: 3e-9 * n for n in LENGTHS})
    for n in LENGTHS:
        assert linear[n].seconds == pytest.approx(3e-9 * n * n / 2)
    assert linear[4096].assumed == 1.0
    assert linear[131072].assumed == pytest.approx((4096 / 131072) ** 2)
    constant = prompt_times(dict.fromkeys(LENGTHS, 2e-6))
    assert constant[131072].seconds == pytest.approx(2e-6 * 131072)
    root = prompt_times({4096: 64.0, 16384: 128.0})
    assert root[4096].seconds == pytest.approx(64.0 * 4096 / 1.5)  # ∫ √x from 0 to 4096


def test_a_prompt_measured_at_one_position_is_taken_as_constant():
    (only,) = prompt_times({4096: 2e-6}).values()
    assert only.seconds == pytest.approx(2e-6 * 4096)


def test_a_time_that_falls_is_not_carried_on_to_infinity_at_zero():
    assert prompt_times({1024: 4.0, 2048: 1.0})[1024].seconds == pytest.approx(4.0 * 1024)
