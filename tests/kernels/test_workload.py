from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from dsabench.kernels.op import UnknownNameError
from dsabench.kernels.workload import Workload, sample_rows


def test_defaults_fill_in_and_order_follows_the_op():
    workload = Workload.of("topk_select", {"s_kv": 4096, "rows": 2})
    assert workload.axes == (("rows", 2), ("s_kv", 4096), ("k", 2048), ("deterministic", 0))
    assert workload.context == 4096
    assert workload.label() == "rows=2 s_kv=4k k=2k deterministic=0"
    assert Workload.of("topk_select", {}, "zeros").label().endswith("(zeros)")


def test_key_names_the_workload_and_nothing_else():
    base = Workload.of("topk_select", {"rows": 2})
    assert base.key == Workload.of("topk_select", {"rows": 2}).key
    assert len(base.key) == 10
    others = [
        Workload.of("topk_select", {"rows": 3}),
        Workload.of("topk_select", {"rows": 2}, "zeros"),
        Workload.of("topk_select", {"rows": 2}, seed=1),
    ]
    assert len({base.key, *(other.key for other in others)}) == 4


@pytest.mark.parametrize(
    ("op", "axes", "distribution", "message"),
    [
        ("topk_selct", {}, "normal", "did you mean 'topk_select'"),
        ("topk_select", {"s_kw": 1}, "normal", "did you mean 's_kv'"),
        ("topk_select", {}, "zeroes", "did you mean 'zeros'"),
    ],
)
def test_unknown_names_are_refused(op, axes, distribution, message):
    with pytest.raises(UnknownNameError, match=message):
        Workload.of(op, axes, distribution)


@pytest.mark.parametrize("value", [0, -1, 1 << 30, 1.5, True])
def test_values_outside_an_axis_are_refused(value):
    with pytest.raises(ValueError, match="axis s_kv"):
        Workload.of("indexer_logits", {"s_kv": value})


@pytest.mark.parametrize("op", ["indexer_logits", "paged_indexer_logits", "topk_select"])
def test_a_seed_names_the_inputs(op):
    def tensors(seed: int) -> list[torch.Tensor]:
        inputs = Workload.of(op, {"s_kv": 200}, seed=seed).make_inputs()
        values = [getattr(inputs, field.name) for field in fields(inputs)]
        return [v.view(torch.uint8).clone() for v in values if isinstance(v, torch.Tensor)]

    first, again, other = tensors(1), tensors(1), tensors(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(("total", "row_flops"), [(1, 1e12), (2, 1e12), (3, 1e12), (4, 1e12), (5, 1e12), (100, 1e3)])
def test_all_rows_are_taken_where_they_fit(total, row_flops):
    rows = sample_rows(total, row_flops, seed=0)
    assert rows.tolist() == list(range(total)) if total <= 4 or row_flops < 1e6 else len(rows) == 4


def test_a_sample_is_sorted_distinct_seeded_and_holds_both_ends():
    rows = sample_rows(10_000, 1e8, seed=3)
    assert len(rows) == 40
    assert rows[0] == 0
    assert rows[-1] == 9_999
    assert (rows.diff() > 0).all()
    assert torch.equal(rows, sample_rows(10_000, 1e8, seed=3))
    assert not torch.equal(rows, sample_rows(10_000, 1e8, seed=4))
