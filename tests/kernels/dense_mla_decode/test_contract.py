import math
from dataclasses import replace

import pytest
import torch

from dsabench.kernels.dense_mla_decode.contract import OP
from dsabench.kernels.kv_cache import flatten_pages, sequence_slots
from dsabench.kernels.workload import Workload

AXES = {"b": 4, "s_q": 2, "s_kv": 90, "h_q": 8, "page": 16, "causal": 0}


def make(distribution="normal", seed=0, **axes):
    return Workload.of(OP.name, {**AXES, **axes}, distribution, seed).make_inputs()


@pytest.mark.parametrize("distribution", OP.distributions)
def test_inputs_are_valid_reproducible_and_hold_nan_where_nothing_is_live(distribution):
    inputs, again, other = make(distribution, 3), make(distribution, 3), make(distribution, 4)
    OP.validate(inputs)
    assert torch.equal(inputs.q, again.q)
    assert torch.equal(inputs.block_table, again.block_table)
    assert torch.equal(inputs.kv_cache.view(torch.int16), again.kv_cache.view(torch.int16))
    assert not torch.equal(inputs.block_table, other.block_table)
    tokens = flatten_pages(inputs.kv_cache)
    live = torch.zeros(len(tokens), dtype=torch.bool)
    for row, length in zip(inputs.block_table, inputs.cache_seqlens.tolist(), strict=True):
        live[sequence_slots(row, 16, 0, length)] = True
    assert bool(tokens[live].isfinite().all())
    assert bool(tokens[~live].isnan().all())


def test_the_axes_of_a_call():
    assert OP.axes_of(make()) == AXES
    assert OP.axes_of(make("empty"))["s_kv"] == 1


def test_lengths_by_distribution():
    lengths = {name: make(name).cache_seqlens.tolist() for name in OP.distributions}
    assert lengths["normal"] == [90] * 4
    assert (lengths["ragged"][0], lengths["ragged"][-1]) == (0, 90)
    assert lengths["empty"] == [0] * 4
    assert lengths["one_key"] == [1] * 4
    assert [length % 16 for length in lengths["page_boundary"]] == [15, 0, 1, 15]


def test_dead_table_entries_are_garbage():
    table = make("empty", b=30).block_table
    assert bool(((table < 0) | (table >= 30 * 6)).any())
    normal = make()
    assert normal.block_table.shape == (4, 7)
    live = normal.block_table[:, :6].flatten().tolist()
    assert sorted(live) == list(range(24))
    assert live != sorted(live)


def test_shared_blocks_are_shared():
    table = make("shared_blocks").block_table
    assert bool((table[:, :3] == table[0, :3]).all())
    assert len(table[:, 3:6].unique()) == 12


def test_outputs():
    out, lse = OP.empty_outputs(make())
    assert (out.shape, out.dtype) == ((4, 2, 8, 512), torch.bfloat16)
    assert (lse.shape, lse.dtype) == ((4, 2, 8), torch.float32)
    assert OP.row_count(make()) == 64


def int32(*values):
    return torch.tensor(values, dtype=torch.int32)


WRONG = [
    ({"q": torch.zeros(4, 2, 8, 192, dtype=torch.bfloat16)}, ValueError, r"q must have shape \[b, s_q, h_q, 576\]"),
    ({"q": torch.zeros(4, 2, 8, 576)}, TypeError, "q must have dtype bfloat16, got float32"),
    ({"q": torch.zeros(4, 2, 0, 576, dtype=torch.bfloat16)}, ValueError, r"h_q .*\[1, 128\], got 0"),
    (
        {"kv_cache": torch.zeros(25, 16, 1, 656, dtype=torch.bfloat16)},
        ValueError,
        r"kv_cache .*576\], got \[25, 16, 1, 656\]",
    ),
    (
        {"kv_cache": torch.zeros(25, 16, 1, 576, dtype=torch.uint8)},
        TypeError,
        "kv_cache must have dtype bfloat16, got uint8",
    ),
    ({"block_table": torch.zeros(4, 7, dtype=torch.int64)}, TypeError, "block_table must have dtype int32, got int64"),
    ({"block_table": torch.zeros(3, 7, dtype=torch.int32)}, ValueError, "block_table .*b = 4"),
    (
        {"block_table": torch.zeros(4, 5, dtype=torch.int32)},
        ValueError,
        "block_table must have at least 6 columns .* 90 at page 16, got 5",
    ),
    (
        {"block_table": torch.full((4, 7), 25, dtype=torch.int32)},
        ValueError,
        r"block_table \(live entries\) must be in \[0, 24\], got 25",
    ),
    ({"block_table": torch.full((4, 7), -1, dtype=torch.int32)}, ValueError, r"block_table \(live entries\) .* got -1"),
    ({"cache_seqlens": int32(1, 2, 3)}, ValueError, "cache_seqlens .*b = 4"),
    ({"cache_seqlens": int32(1, 2, -3, 4)}, ValueError, "cache_seqlens must be in .* got -3"),
    ({"cache_seqlens": torch.zeros(4)}, TypeError, "cache_seqlens must have dtype int32, got float32"),
    ({"sm_scale": math.nan}, ValueError, "sm_scale must be finite, got nan"),
    ({"causal": 1}, TypeError, "causal must be a bool, got int"),
    (
        {"kv_cache": torch.zeros(25, 16, 1, 576, dtype=torch.bfloat16, device="meta")},
        ValueError,
        "kv_cache is on meta but q is on cpu",
    ),
]


@pytest.mark.parametrize(("change", "error", "message"), WRONG, ids=range(len(WRONG)))
def test_wrong_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message) as raised:
        OP.validate(replace(make(), **change))
    assert "\n" not in str(raised.value)


def test_dead_table_entries_may_be_anything():
    inputs = make("one_key")
    table = inputs.block_table.clone()
    table[:, 1:] = -(2**31)
    OP.validate(replace(inputs, block_table=table))
