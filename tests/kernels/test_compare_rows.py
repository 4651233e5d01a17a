from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsabench.kernels.compare_rows import (
    compare_cosine,
    compare_elements,
    row_cosine_difference,
    same_special_values,
)


def rows(*values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(st.integers(0, 1000), st.floats(1e-9, 1.0))
@settings(max_examples=50, deadline=None)
def test_cosine_difference_is_the_formula(seed, noise):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(4, 50, generator=generator, dtype=torch.float64)
    y = x + noise * torch.randn(4, 50, generator=generator, dtype=torch.float64)
    formula = 1 - 2 * (x * y).sum(-1) / (x.square().sum(-1) + y.square().sum(-1))
    torch.testing.assert_close(row_cosine_difference(y, x), formula, rtol=1e-6, atol=1e-14)


def test_cosine_difference_of_zero_rows():
    assert row_cosine_difference(rows([0, 0], [0, 0], [1, 1]), rows([0, 0], [3, 4], [1, 1])).tolist() == [0, 1, 0]


@pytest.mark.parametrize("special", [torch.nan, torch.inf, -torch.inf])
def test_special_values_must_stand_at_the_same_places(special):
    expected = rows([1, special, 2], [3, 4, special])
    assert same_special_values("x", expected.clone(), expected) == ""
    for row, column, value in [(0, 1, 5.0), (1, 0, special)]:
        actual = expected.clone()
        actual[row, column] = value
        reason = same_special_values("x", actual, expected)
        assert f"row {row}, column {column}" in reason
        assert reason.startswith("x:")


def test_infinities_of_the_other_sign_differ():
    assert "inf" in same_special_values("x", rows([torch.inf]), rows([-torch.inf]))


def test_elements_pass_under_either_limit_and_fail_beyond_both():
    expected = rows([0.0, 100.0])
    assert compare_elements("x", rows([0.9e-3, 100.9]), expected, 1e-3, 0.01).reason == ""
    small = compare_elements("x", rows([1.1e-3, 100.0]), expected, 1e-3, 0.01)
    assert "row 0, column 0" in small.reason
    large = compare_elements("x", rows([0.0, 101.1]), expected, 1e-3, 0.01)
    assert "row 0, column 1" in large.reason
    assert large.worst["x_max_abs"] == pytest.approx(1.1)


def test_the_worst_element_is_the_one_named():
    expected = torch.ones(3, 4, dtype=torch.float64)
    actual = expected.clone()
    actual[0, 1], actual[2, 3] = 1.1, 2.0
    assert "row 2, column 3: got 2, expected 1" in compare_elements("x", actual, expected, 1e-3, 1e-3).reason


def test_nan_is_a_fault_and_worst_stays_finite():
    result = compare_elements("x", rows([torch.nan, 1.0]), rows([1.0, 1.0]), 1e-3, 1e-3)
    assert "NaN" in result.reason
    assert result.worst == {"x_max_abs": 0.0}


def test_one_wrong_row_among_many_is_found():
    generator = torch.Generator().manual_seed(0)
    expected = torch.randn(500, 64, generator=generator, dtype=torch.float64)
    actual = expected.clone()
    actual[317] = actual[316]
    assert row_cosine_difference(actual.flatten()[None], expected.flatten()[None])[0] < 2e-2
    result = compare_cosine("x", actual, expected, 1e-5)
    assert "row 317" in result.reason
    assert compare_cosine("x", expected, expected, 1e-5).reason == ""


def test_cosine_leaves_matching_infinities_out():
    masked = rows([1.0, -torch.inf, 2.0])
    result = compare_cosine("x", masked, masked, 1e-5)
    assert result.reason == ""
    assert result.worst == {"x_row_cosine_difference": 0.0}


def test_empty_tensors_compare_equal():
    empty = torch.empty(0, 4, dtype=torch.float64)
    assert compare_elements("x", empty, empty, 1e-3, 1e-3).reason == ""
    assert compare_cosine("x", empty, empty, 1e-5).reason == ""
