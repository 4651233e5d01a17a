from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dsabench.kernels.topk_select.contract import DISTRIBUTIONS, OP, validate
from dsabench.kernels.workload import Workload


def inputs_of(distribution: str = "normal", seed: int = 0, **axes: int):
    return Workload.of("topk_select", {"rows": 12, "s_kv": 400, "k": 64, **axes}, distribution, seed).make_inputs()


def windows(inputs):
    """(row of scores inside its window, of scores outside it) for every row."""
    for scores, start, end in zip(inputs.logits, inputs.starts.tolist(), inputs.ends.tolist(), strict=True):
        yield scores[start:end] if start < end else scores[:0], torch.cat([scores[:start], scores[max(start, end) :]])


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize(("rows", "s_kv", "k"), [(1, 1, 1), (12, 400, 64), (5, 3, 64), (4, 100, 100), (8, 50, 1)])
def test_every_distribution_is_valid_at_every_shape(distribution, rows, s_kv, k):
    inputs = inputs_of(distribution, rows=rows, s_kv=s_kv, k=k, deterministic=1)
    validate(inputs)
    assert inputs.logits.shape == (rows, s_kv)
    assert OP.axes_of(inputs) == {"rows": rows, "s_kv": s_kv, "k": k, "deterministic": 1}
    (indices,) = OP.empty_outputs(inputs)
    assert indices.shape == (rows, k)
    assert indices.dtype == torch.int32
    assert OP.row_count(inputs) == rows


def test_values_are_what_the_distributions_promise():
    assert inputs_of().logits.unique().numel() > 4700
    assert all(row.unique().numel() == 1 for row in inputs_of("equal").logits)
    assert inputs_of("equal").logits.unique().numel() == 12
    assert (inputs_of("zeros").logits == 0).all()
    one_bin = inputs_of("one_bin").logits
    assert ((one_bin >= 1.0) & (one_bin < 1.245)).all()
    assert (one_bin.view(torch.int32) >> 20).unique().numel() <= 2  # exponent and three bits of mantissa
    denormals = inputs_of("denormals").logits
    assert ((denormals.abs() < 2.0**-126) & (denormals != 0)).all()
    assert (inputs_of("ascending").logits.diff(dim=-1) > 0).float().mean() > 0.98


@pytest.mark.parametrize("name", ["relu_scores", "signed_zeros"])
def test_the_cut_lies_among_zeros(name):
    for row in inputs_of(name).logits:
        best = row.sort(descending=True).values
        assert best[0] > 0
        assert best[63] == best[64] == 0
        if name == "signed_zeros":
            assert set(torch.signbit(row[row == 0]).tolist()) == {True, False}


def test_adjacent_floats_stand_at_the_cut():
    tie = torch.tensor(0.7)
    above = torch.nextafter(tie, torch.tensor(torch.inf))
    for row in inputs_of("near_ties").logits:
        assert (row > above).sum() < 64
        assert (row >= above).sum() < 64
        assert (row == above).any()
        assert row.sort(descending=True).values[63] == tie


def test_clustered_scores_stand_side_by_side():
    for row in inputs_of("clustered").logits:
        best = row.topk(64).indices.sort().values
        assert best.diff().unique().tolist() == [1]


@pytest.mark.parametrize(("name", "length"), [("k_valid", 64), ("k_minus_1_valid", 63)])
def test_windows_of_about_k(name, length):
    inputs = inputs_of(name)
    assert (inputs.ends - inputs.starts).tolist() == [length] * 12
    assert inputs.starts.unique().numel() > 6


def test_windows_are_what_the_distributions_promise():
    causal = inputs_of("causal", rows=3, s_kv=10)
    assert (causal.starts.tolist(), causal.ends.tolist()) == ([0, 0, 0], [8, 9, 10])
    ragged = inputs_of("ragged_windows")
    assert ((ragged.starts > 0) & (ragged.starts < ragged.ends)).sum() > 6
    empty = inputs_of("empty_windows")
    assert (empty.starts >= empty.ends).sum() == 6
    assert (empty.starts > empty.ends).any()
    garbage = inputs_of("garbage_outside")
    inside, outside = (torch.cat(part) for part in zip(*windows(garbage), strict=True))
    assert inside.isfinite().all()
    assert outside.isnan().any()
    assert outside.isposinf().any()
    assert outside.isneginf().any()


def test_infinities_and_nan_leave_fewer_than_k_others():
    for row in inputs_of("minus_inf_inside").logits:
        assert row.isneginf().sum() > 400 - 64
        assert not row.isnan().any()
    assert inputs_of("minus_inf_inside").logits.isposinf().any()
    nan = inputs_of("nan_inside").logits
    assert ((~nan[1::2].isnan()).sum(-1) < 64).all()
    assert (nan[::2].isnan().sum(-1) < 40).all()
    assert torch.signbit(nan[nan.isnan()]).unique().numel() == 2


def int32(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"logits": torch.zeros(3, 9, dtype=torch.bfloat16)}, TypeError, "^logits must have dtype float32, got bfloat16"),
        ({"logits": torch.zeros(9)}, ValueError, r"^logits must have shape \[rows, L\], got \[9\]"),
        ({"logits": torch.zeros(9, 3).T}, ValueError, "^logits must be contiguous"),
        ({"logits": [[1.0]]}, TypeError, r"^logits must be a torch\.Tensor, got list"),
        ({"logits": torch.zeros(3, 0)}, ValueError, r"^logits: L \(dim 1\) must be in \[1, 1048576\], got 0"),
        ({"logits": torch.zeros(1, 2**20 + 1), "starts": int32(0), "ends": int32(0)}, ValueError,
         r"^logits: L \(dim 1\) must be in \[1, 1048576\], got 1048577"),
        ({"logits": torch.zeros(0, 9), "starts": int32(), "ends": int32()}, ValueError, "^logits: rows"),
        ({"starts": torch.zeros(3, dtype=torch.int64)}, TypeError, "^starts must have dtype int32, got int64"),
        ({"starts": int32(0, 0)}, ValueError, r"^starts must have shape \[rows\] \(rows = 3"),
        ({"starts": int32(0, -1, 0)}, ValueError, r"^starts must be in \[0, 9\], got -1 at \[1\]"),
        ({"ends": int32(9, 9, 10)}, ValueError, r"^ends must be in \[0, 9\], got 10 at \[2\]"),
        ({"ends": int32(9, 9, 9, 9)}, ValueError, "^ends must have shape"),
        ({"ends": torch.zeros(3, dtype=torch.int32, device="meta")}, ValueError, "^ends is on meta but logits is on cpu"),
        ({"k": 0}, ValueError, r"^k must be in \[1, 4096\], got 0"),
        ({"k": 4097}, ValueError, r"^k must be in \[1, 4096\], got 4097"),
        ({"k": 2.0}, TypeError, "^k must be an int, got float"),
        ({"k": True}, TypeError, "^k must be an int, got bool"),
        ({"deterministic": 1}, TypeError, "^deterministic must be a bool, got int"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        validate(replace(inputs_of(rows=3, s_kv=9, k=4), **change))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_cost_counts_the_windows(distribution):
    inputs = inputs_of(distribution)
    valid = sum(len(inside) for inside, _ in windows(inputs))
    cost = OP.cost(inputs)
    assert cost.compulsory_bytes == cost.gather_bytes == 4 * valid + 12 * 8 + 12 * 64 * 4
    assert (cost.flops, cost.product_dtype) == (0, None)
