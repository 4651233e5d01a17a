import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dsabench.kernels.sparse_entries import counted_entries, flat_entries, sparse_mla_cost, touched_rows

entry = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 12)


@settings(deadline=None)
@given(st.lists(st.lists(entry, min_size=4, max_size=4), min_size=1, max_size=5), st.integers(1, 10), st.data())
def test_entries_count_when_in_range_and_within_the_length(rows, limit, data):
    lengths = data.draw(st.none() | st.lists(st.integers(0, 4), min_size=len(rows), max_size=len(rows)))
    tensor = torch.tensor(rows, dtype=torch.int32)
    length = None if lengths is None else torch.tensor(lengths, dtype=torch.int32)
    expected = [
        [0 <= e < limit and (lengths is None or j < lengths[i]) for j, e in enumerate(row)]
        for i, row in enumerate(rows)
    ]
    counted = counted_entries(tensor, length, limit)
    assert counted.tolist() == expected
    touched = sorted({e for row, keep in zip(rows, expected, strict=True) for e, k in zip(row, keep, strict=True) if k})
    assert touched_rows(tensor, counted, limit).tolist() == touched


def test_flat_entries_of_decode_arguments():
    indices = torch.tensor([[[0, 1], [5, 6]], [[7, -1], [2, 2]]], dtype=torch.int32)
    flat, counted, slots = flat_entries(indices, torch.tensor([[2, 2], [2, 1]]), torch.empty(3, 2, 1, 656))
    assert slots == 6
    assert flat.tolist() == [[0, 1], [5, 6], [7, -1], [2, 2]]
    assert counted.tolist() == [[True, True], [True, False], [False, False], [True, False]]


def test_cost_counts_entries_as_they_stand_and_rows_once():
    indices = torch.tensor([[3, 3, 1], [1, -1, 9], [-1, -1, -1]], dtype=torch.int32)
    cost = sparse_mla_cost(indices, counted_entries(indices, None, 5), 5, 2, 100)
    assert cost.flops == 2 * 4 * 2 * (576 + 512)
    q_read, written = 2 * 2 * 576 * 2, 3 * 2 * (512 * 2 + 4)
    assert cost.compulsory_bytes == 2 * 100 + q_read + written
    assert cost.gather_bytes == 4 * 100 + q_read + written
    assert cost.product_dtype == "bf16"


@pytest.mark.parametrize("limit", [1, 2**31 - 1])
def test_limits_at_the_ends_of_int32(limit):
    indices = torch.tensor([[0, limit - 1, min(limit, 2**31 - 1), -(2**31)]], dtype=torch.int32)
    counted = counted_entries(indices, None, limit)
    assert counted[0, :2].tolist() == [True, True]
    assert counted[0, 3].item() is False
