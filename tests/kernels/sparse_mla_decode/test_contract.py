import math
from dataclasses import replace

import pytest
import torch

from dsabench.kernels.kv_cache import dequantize_tokens, flatten_pages, unpack_tokens
from dsabench.kernels.sparse_entries import flat_entries, touched_rows
from dsabench.kernels.sparse_mla_decode.contract import OP
from dsabench.kernels.workload import Workload

AXES = {"b": 2, "s_q": 3, "s_kv": 96, "h_q": 8, "topk": 12, "page": 16}


def make(distribution="normal", seed=0, **axes):
    return Workload.of(OP.name, {**AXES, **axes}, distribution, seed).make_inputs()


def used_slots(inputs):
    indices, counted, slots = flat_entries(inputs.indices, inputs.topk_length, inputs.kv_cache)
    used = torch.zeros(slots, dtype=torch.bool)
    used[touched_rows(indices, counted, slots)] = True
    return used


@pytest.mark.parametrize("distribution", OP.distributions)
def test_inputs_are_valid_reproducible_and_hold_nan_where_nothing_reads(distribution):
    inputs, again, other = make(distribution, 3), make(distribution, 3), make(distribution, 4)
    OP.validate(inputs)
    assert OP.axes_of(inputs) == AXES
    for name in ("q", "kv_cache", "indices"):
        assert torch.equal(getattr(inputs, name), getattr(again, name))
    if distribution not in ("zeros", "no_valid"):
        assert not torch.equal(inputs.indices, other.indices)
        assert not torch.equal(inputs.q, other.q)
    tokens, used = flatten_pages(inputs.kv_cache), used_slots(inputs)
    assert bool(dequantize_tokens(tokens[used]).isfinite().all())
    assert bool((tokens[~used] == 0xFF).all())


@pytest.mark.parametrize("distribution", OP.distributions)
def test_dequantization_is_exact_in_bf16(distribution):
    inputs = make(distribution)
    tokens = flatten_pages(inputs.kv_cache)[used_slots(inputs)]
    exact = dequantize_tokens(tokens, torch.float64)
    assert torch.equal(exact.bfloat16().double(), exact)
    mantissa, _ = torch.frexp(unpack_tokens(tokens)[1])
    if distribution == "ue8m0":
        assert bool((mantissa == 0.5).all())
    elif distribution == "normal":
        assert len(mantissa.unique()) > 3


def test_sequences_select_their_own_blocks_only():
    inputs = make(topk=96)
    first, second = (set((inputs.indices[i][inputs.indices[i] >= 0] // 16).tolist()) for i in range(2))
    assert len(first) == len(second) == 6
    assert not first & second


def test_a_context_that_does_not_fill_its_last_page():
    inputs = make(s_kv=50, page=16, topk=60)
    assert inputs.kv_cache.shape == (8, 16, 1, 656)
    assert int(used_slots(inputs).sum()) == 100
    assert (inputs.indices[0, 2] >= 0).sum() == 50
    assert (inputs.indices[0, 0] >= 0).sum() == 48


def test_outputs():
    out, lse = OP.empty_outputs(make())
    assert (out.shape, out.dtype) == ((2, 3, 8, 512), torch.bfloat16)
    assert (lse.shape, lse.dtype) == ((2, 3, 8), torch.float32)
    assert OP.row_count(make()) == 48


WRONG = [
    ({"q": torch.zeros(2, 3, 8, 512, dtype=torch.bfloat16)}, ValueError, r"q must have shape \[b, s_q, h_q, 576\]"),
    ({"q": torch.zeros(2, 3, 8, 576, dtype=torch.float16)}, TypeError, "q must have dtype bfloat16, got float16"),
    ({"q": torch.zeros(2, 3, 200, 576, dtype=torch.bfloat16)}, ValueError, r"h_q .*\[1, 128\], got 200"),
    (
        {"kv_cache": torch.zeros(12, 16, 1, 576, dtype=torch.uint8)},
        ValueError,
        r"kv_cache .*656\], got \[12, 16, 1, 576\]",
    ),
    ({"kv_cache": torch.zeros(12, 16, 656, dtype=torch.uint8)}, ValueError, "kv_cache must have shape"),
    (
        {"kv_cache": torch.zeros(12, 16, 1, 656, dtype=torch.int8)},
        TypeError,
        "kv_cache must have dtype uint8, got int8",
    ),
    ({"kv_cache": torch.zeros(0, 16, 1, 656, dtype=torch.uint8)}, ValueError, "num_blocks .* got 0"),
    ({"kv_cache": torch.zeros(12, 0, 1, 656, dtype=torch.uint8)}, ValueError, "page .* got 0"),
    ({"indices": torch.zeros(2, 3, 0, dtype=torch.int32)}, ValueError, "k .dim 2 of indices. .* got 0"),
    ({"indices": torch.zeros(2, 2, 12, dtype=torch.int32)}, ValueError, "indices .*s_q = 3"),
    ({"indices": torch.zeros(2, 3, 12)}, TypeError, "indices must have dtype int32, got float32"),
    ({"sm_scale": math.inf}, ValueError, "sm_scale must be finite, got inf"),
    ({"sm_scale": None}, TypeError, "sm_scale must be a number, got NoneType"),
    ({"attn_sink": torch.zeros(8, 1)}, ValueError, r"attn_sink must have shape \[h_q\], got \[8, 1\]"),
    ({"topk_length": torch.zeros(6, dtype=torch.int32)}, ValueError, r"topk_length must have shape \[b, s_q\]"),
    (
        {"topk_length": torch.full((2, 3), 99, dtype=torch.int32)},
        ValueError,
        r"topk_length must be in \[0, 12\], got 99",
    ),
    (
        {"indices": torch.zeros(2, 3, 12, dtype=torch.int32, device="meta")},
        ValueError,
        "indices is on meta but q is on cpu",
    ),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message) as raised:
        OP.validate(replace(make(), **change))
    assert "\n" not in str(raised.value)
