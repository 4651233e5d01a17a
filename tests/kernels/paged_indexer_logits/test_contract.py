from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dsabench.kernels.fp8 import decode_e4m3
from dsabench.kernels.index_cache import key_codes, key_scales
from dsabench.kernels.paged_indexer_logits.contract import DISTRIBUTIONS, OP, make_inputs, validate
from dsabench.kernels.workload import Workload

FLOAT8 = torch.float8_e4m3fn


def inputs_of(distribution: str = "normal", seed: int = 0, **axes: int):
    axes = {"b": 3, "next_n": 2, "s_kv": 150, "h": 8, **axes}
    return Workload.of("paged_indexer_logits", axes, distribution, seed).make_inputs()


def used_slots(inputs) -> torch.Tensor:
    """bool [num_blocks, 64]: the slots that hold a token of some sequence."""
    used = torch.zeros(inputs.k_cache.shape[0], 64, dtype=torch.bool)
    for i, n in enumerate(inputs.context_lens.amax(-1).tolist()):
        for s in range(n):
            used[int(inputs.block_table[i, s // 64]), s % 64] = True
    return used


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize(("b", "s_kv"), [(1, 1), (3, 150), (8, 64), (7, 257)])
def test_every_distribution_is_valid_at_every_shape(distribution, b, s_kv):
    inputs = inputs_of(distribution, b=b, s_kv=s_kv)
    validate(inputs)
    assert OP.axes_of(inputs) == {"b": b, "next_n": 2, "s_kv": s_kv, "h": 8}
    (logits,) = OP.empty_outputs(inputs)
    assert logits.shape == (2 * b, s_kv)
    assert logits.dtype == torch.float32
    assert OP.row_count(inputs) == 2 * b
    assert int(inputs.context_lens.max()) == s_kv


@pytest.mark.parametrize("distribution", [d for d in DISTRIBUTIONS if d not in ("far_blocks", "nan_key")])
def test_slots_without_a_token_are_nan_and_no_others(distribution):
    inputs = inputs_of(distribution, b=7)
    used = used_slots(inputs)
    code_is_nan = decode_e4m3(key_codes(inputs.k_cache)).isnan()
    assert torch.equal(code_is_nan.all(-1), ~used)
    assert torch.equal(code_is_nan.any(-1), ~used)
    assert torch.equal(key_scales(inputs.k_cache).isnan(), ~used)
    assert (~used).any()


@pytest.mark.parametrize("distribution", [d for d in DISTRIBUTIONS if d != "far_blocks"])
def test_table_entries_past_the_end_are_garbage_and_blocks_are_shuffled(distribution):
    inputs = inputs_of(distribution, b=8, s_kv=640)
    blocks = -(-inputs.context_lens.amax(-1) // 64)
    live = torch.arange(inputs.block_table.shape[1]) < blocks[:, None]
    dead = inputs.block_table[~live]
    assert ((dead < 0) | (dead >= inputs.k_cache.shape[0])).all()
    assert (~live).any(-1).all()
    assert ((inputs.block_table[live] >= 0) & (inputs.block_table[live] < inputs.k_cache.shape[0])).all()
    assert inputs.block_table[0, :10].tolist() != sorted(inputs.block_table[0, :10].tolist())
    if distribution != "shared_prefix":
        assert inputs.block_table[live].unique().numel() == int(live.sum())


def test_drafted_tokens_see_one_more_each():
    assert inputs_of(next_n=3, s_kv=10).context_lens.tolist() == [[8, 9, 10]] * 3
    assert inputs_of(next_n=3, s_kv=2).context_lens.tolist() == [[0, 1, 2]] * 3


def test_ragged_lengths_hold_the_edges_of_a_block():
    lens = inputs_of("ragged", b=20, next_n=1).context_lens.flatten().tolist()
    assert lens[:6] == [150, 0, 1, 63, 64, 65]
    assert len(set(lens[6:])) > 5


def test_shared_prefix_shares_whole_blocks_only():
    table = inputs_of("shared_prefix", b=4, s_kv=500).block_table
    assert (table[:, :3] == table[:1, :3]).all()
    assert table[:, 3:8].unique().numel() == 20


def test_nan_keys_stand_in_every_sequence():
    inputs = inputs_of("nan_key")
    logits = OP.reference(inputs, torch.arange(6))[0]
    assert (logits.isnan().sum(-1) == 2).all()


def test_head_counts_that_no_kernel_takes():
    with pytest.raises(ValueError, match="axis h must be one of"):
        make_inputs({"b": 1, "next_n": 1, "s_kv": 8, "h": 10}, "normal", 0, torch.device("cpu"))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"q": torch.zeros(3, 2, 8, 128)}, TypeError, "^q must have dtype float8_e4m3fn"),
        ({"q": torch.zeros(6, 8, 128).to(FLOAT8)}, ValueError, r"^q must have shape \[b, next_n, h, 128\], got \[6, 8, 128\]"),
        ({"q": torch.zeros(3, 2, 7, 128).to(FLOAT8)}, ValueError, r"^q must have h in \[8, 16, 32, 64\] heads, got 7"),
        ({"q": torch.zeros(0, 2, 8, 128).to(FLOAT8)}, ValueError, "^q: b"),
        ({"k_cache": torch.zeros(9, 64, 132, dtype=torch.uint8)}, ValueError, "^k_cache must have shape"),
        ({"k_cache": torch.zeros(9, 32, 1, 132, dtype=torch.uint8)}, ValueError, r"^k_cache must have shape.*dim 1 is 32"),
        ({"k_cache": torch.zeros(9, 64, 1, 656, dtype=torch.uint8)}, ValueError, r"^k_cache must have shape.*dim 3 is 656"),
        ({"k_cache": torch.zeros(9, 64, 1, 132).to(FLOAT8)}, TypeError, "^k_cache must have dtype uint8, got float8_e4m3fn"),
        ({"weights": torch.zeros(3, 2, 8)}, ValueError, r"^weights must have shape \[6, h\], got \[3, 2, 8\]"),
        ({"weights": torch.zeros(3, 8)}, ValueError, r"^weights must have shape \[6, h\], got \[3, 8\]"),
        ({"weights": torch.zeros(6, 16)}, ValueError, r"^weights must have shape \[6, h\] \(h = 8"),
        ({"context_lens": torch.zeros(3, 2, dtype=torch.int64)}, TypeError, "^context_lens must have dtype int32"),
        ({"context_lens": torch.zeros(3, dtype=torch.int32)}, ValueError, r"^context_lens must have shape \[b, next_n\]"),
        ({"context_lens": torch.full((3, 2), 151, dtype=torch.int32)}, ValueError,
         r"^context_lens must be in \[0, 150\], got 151 at \[0, 0\]"),
        ({"context_lens": torch.tensor([[1, 2], [3, -4], [5, 6]], dtype=torch.int32)}, ValueError,
         r"^context_lens must be in \[0, 150\], got -4 at \[1, 1\]"),
        ({"block_table": torch.zeros(2, 5, dtype=torch.int32)}, ValueError, r"^block_table must have shape.*b = 3"),
        ({"block_table": torch.zeros(3, 5, dtype=torch.int64)}, TypeError, "^block_table must have dtype int32"),
        ({"block_table": torch.zeros(3, 2, dtype=torch.int32)}, ValueError,
         "^block_table has 2 blocks a sequence, enough for 128 tokens; max_context_len = 150 needs 3"),
        ({"max_context_len": 0}, ValueError, r"^max_context_len must be in \[1, 1048576\], got 0"),
        ({"max_context_len": 150.0}, TypeError, "^max_context_len must be an int, got float"),
        ({"k_cache": torch.zeros(9, 64, 1, 132, dtype=torch.uint8, device="meta")}, ValueError,
         "^k_cache is on meta but q is on cpu"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(change, error, message):
    with pytest.raises(error, match=message):
        validate(replace(inputs_of(), **change))
