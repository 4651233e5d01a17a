from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsabench.kernels.topk_select.contract import DISTRIBUTIONS, Inputs
from dsabench.kernels.topk_select.reference import NAN_KEY, OUTSIDE_KEY, order_keys, reference
from dsabench.kernels.workload import Workload
from tests.kernels.naive_index import rank, topk_lowest_column_first

any_float = st.floats(width=32, allow_nan=True, allow_infinity=True, allow_subnormal=True)
few_floats = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45, math.inf, -math.inf, math.nan, -math.nan])


def naive(inputs: Inputs) -> list[list[int]]:
    rows = zip(inputs.logits.numpy(), inputs.starts.tolist(), inputs.ends.tolist(), strict=True)
    return [topk_lowest_column_first(scores, start, end, inputs.k) for scores, start, end in rows]


@given(st.lists(st.one_of(any_float, few_floats), min_size=2, max_size=2))
@settings(max_examples=300, deadline=None)
def test_keys_order_as_the_contract_does(pair):
    a, b = (int(k) for k in order_keys(torch.tensor(pair, dtype=torch.float32)))
    assert (a < b) == (rank(pair[0]) < rank(pair[1]))
    assert (a == b) == (rank(pair[0]) == rank(pair[1]))


def test_keys_of_the_special_values():
    values = torch.tensor([math.nan, -math.nan, -math.inf, -3e38, -1e-45, -0.0, 0.0, 1e-45, 3e38, math.inf])
    keys = order_keys(values).tolist()
    assert keys[0] == keys[1] == NAN_KEY > OUTSIDE_KEY
    assert keys[5] == keys[6] == 0
    assert keys[1:6] == sorted(set(keys[1:6]))
    assert keys[6:] == sorted(set(keys[6:]))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize(("rows", "s_kv", "k"), [(5, 40, 7), (4, 9, 16), (3, 1, 1), (6, 33, 33)])
def test_equals_python_s_sort(distribution, rows, s_kv, k):
    inputs = Workload.of("topk_select", {"rows": rows, "s_kv": s_kv, "k": k}, distribution, seed=5).make_inputs()
    assert reference(inputs, torch.arange(rows))[0].tolist() == naive(inputs)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_equals_python_s_sort_on_any_row(data):
    scores = data.draw(st.lists(st.one_of(any_float, few_floats), min_size=1, max_size=40))
    start, end = (data.draw(st.integers(0, len(scores))) for _ in range(2))
    inputs = Inputs(
        torch.tensor([scores], dtype=torch.float32),
        torch.tensor([start], dtype=torch.int32),
        torch.tensor([end], dtype=torch.int32),
        data.draw(st.integers(1, 45)),
        True,
    )
    assert reference(inputs, torch.arange(1))[0].tolist() == naive(inputs)


def test_rows_are_those_asked_for():
    inputs = Workload.of("topk_select", {"rows": 6, "s_kv": 30, "k": 4}, "ragged_windows").make_inputs()
    expected = np.array(naive(inputs))[[5, 2]]
    np.testing.assert_array_equal(reference(inputs, torch.tensor([5, 2]))[0].numpy(), expected)
