import math
from dataclasses import replace

import pytest
import torch

from dsabench.kernels.sparse_entries import counted_entries, touched_rows
from dsabench.kernels.sparse_mla_prefill.contract import OP
from dsabench.kernels.workload import Workload

AXES = {"s_q": 6, "s_kv": 90, "h_q": 8, "topk": 12}


def make(distribution="normal", seed=0, **axes):
    return Workload.of(OP.name, {**AXES, **axes}, distribution, seed).make_inputs()


@pytest.mark.parametrize("distribution", OP.distributions)
def test_inputs_are_valid_reproducible_and_hold_nan_where_nothing_reads(distribution):
    inputs, again, other = make(distribution, 3), make(distribution, 3), make(distribution, 4)
    OP.validate(inputs)
    assert OP.axes_of(inputs) == AXES
    assert torch.equal(inputs.q, again.q)
    assert torch.equal(inputs.indices, again.indices)
    assert torch.equal(inputs.kv.view(torch.int16), again.kv.view(torch.int16))
    if distribution not in ("zeros", "no_valid"):
        assert not torch.equal(inputs.indices, other.indices)
        assert not torch.equal(inputs.q, other.q)
    used = torch.zeros(90, dtype=torch.bool)
    indices = inputs.indices[:, 0]
    used[touched_rows(indices, counted_entries(indices, inputs.topk_length, 90), 90)] = True
    assert bool(inputs.kv[used].isfinite().all())
    assert bool(inputs.kv[~used].isnan().all())


def test_special_arguments_come_with_their_distributions():
    assert make("sink").attn_sink.shape == (8,)
    assert make("topk_length").topk_length.shape == (6,)
    assert make().attn_sink is None
    assert make().topk_length is None
    assert bool((make("out_of_range").indices >= 90).any())


def test_fewer_keys_than_entries_are_padded_at_the_end():
    row = make(s_q=1, s_kv=5).indices[0, 0]
    assert sorted(row[:5].tolist()) == [0, 1, 2, 3, 4]
    assert row[5:].tolist() == [-1] * 7


def test_outputs():
    out, lse = OP.empty_outputs(make())
    assert (out.shape, out.dtype) == ((6, 8, 512), torch.bfloat16)
    assert (lse.shape, lse.dtype) == ((6, 8), torch.float32)
    assert OP.row_count(make()) == 48


WRONG = [
    (
        {"q": torch.zeros(6, 8, 575, dtype=torch.bfloat16)},
        ValueError,
        r"q must have shape \[s_q, h_q, 576\], got \[6, 8, 575\]",
    ),
    ({"q": torch.zeros(6, 8, 576)}, TypeError, "q must have dtype bfloat16, got float32"),
    (
        {"q": torch.zeros(6, 129, 576, dtype=torch.bfloat16)},
        ValueError,
        r"h_q \(dim 1 of q\) must be in \[1, 128\], got 129",
    ),
    ({"q": torch.zeros(0, 8, 576, dtype=torch.bfloat16)}, ValueError, r"indices .*s_q = 0"),
    ({"q": torch.zeros(8, 6, 576, dtype=torch.bfloat16).transpose(0, 1)}, ValueError, "q must be contiguous"),
    ({"q": [1.0]}, TypeError, "q must be a torch.Tensor, got list"),
    ({"kv": torch.zeros(90, 2, 576, dtype=torch.bfloat16)}, ValueError, r"kv must have shape \[s_kv, 1, 576\]"),
    ({"kv": torch.zeros(90, 1, 576, dtype=torch.float16)}, TypeError, "kv must have dtype bfloat16, got float16"),
    ({"kv": torch.zeros(0, 1, 576, dtype=torch.bfloat16)}, ValueError, "s_kv .* got 0"),
    ({"indices": torch.zeros(5, 1, 12, dtype=torch.int32)}, ValueError, r"indices .*s_q = 6.*got \[5, 1, 12\]"),
    ({"indices": torch.zeros(6, 1, 12, dtype=torch.int64)}, TypeError, "indices must have dtype int32, got int64"),
    ({"indices": torch.zeros(6, 1, 0, dtype=torch.int32)}, ValueError, "k .dim 2 of indices. must be in .* got 0"),
    ({"indices": torch.zeros(6, 12, dtype=torch.int32)}, ValueError, r"indices must have shape \[s_q, 1, k\]"),
    ({"sm_scale": math.nan}, ValueError, "sm_scale must be finite, got nan"),
    ({"sm_scale": -math.inf}, ValueError, "sm_scale must be finite, got -inf"),
    ({"sm_scale": "0.1"}, TypeError, "sm_scale must be a number, got str"),
    ({"attn_sink": torch.zeros(7)}, ValueError, r"attn_sink .*h_q = 8.*got \[7\]"),
    ({"attn_sink": torch.zeros(8, dtype=torch.float64)}, TypeError, "attn_sink must have dtype float32"),
    ({"topk_length": torch.zeros(5, dtype=torch.int32)}, ValueError, "topk_length .*s_q = 6"),
    ({"topk_length": torch.full((6,), 13, dtype=torch.int32)}, ValueError, r"topk_length must be in \[0, 12\], got 13"),
    ({"topk_length": torch.full((6,), -1, dtype=torch.int32)}, ValueError, r"topk_length must be in \[0, 12\], got -1"),
    ({"kv": torch.zeros(90, 1, 576, dtype=torch.bfloat16, device="meta")}, ValueError, "kv is on meta but q is on cpu"),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message) as raised:
        OP.validate(replace(make(), **change))
    assert "\n" not in str(raised.value)


def test_validation_reads_no_cache():
    OP.validate(replace(make(), kv=torch.full((90, 1, 576), math.nan, dtype=torch.bfloat16)))
