"""The Triton kernels in Triton's interpreter: every distribution, every tunable, awkward shapes, into poisoned outputs."""

from dataclasses import replace

import pytest
import torch

from dsabench.kernels.dense_mla_decode.contract import OP
from dsabench.kernels.dense_mla_decode.impl_triton import IMPLEMENTATION, default_config, programs
from dsabench.kernels.workload import Workload
from tests.kernels.cpu_cases import one_at_a_time
from tests.kernels.running import check_all_rows, check_configs, poisoned_outputs, run_poisoned

SHAPES = (
    {"b": 3, "s_q": 1, "s_kv": 150, "h_q": 8, "page": 64, "causal": 0},  # whole tiles in a page; the default splits
    {"b": 3, "s_q": 3, "s_kv": 70, "h_q": 16, "page": 53, "causal": 1},  # tiles across pages; rows past the last one
    {"b": 3, "s_q": 2, "s_kv": 9, "h_q": 1, "page": 1, "causal": 1},
)


def make(axes, distribution="normal", **changes):
    return replace(Workload.of(OP.name, axes, distribution, seed=5).make_inputs(), **changes)


def run_config(inputs, **config):
    """Runs a config whether or not it makes sense at these axes, and checks every row."""
    outputs = poisoned_outputs(OP, inputs)
    IMPLEMENTATION.run(inputs, outputs, {**default_config(OP.axes_of(inputs)), **config})
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    return outputs


@pytest.mark.parametrize("axes", SHAPES, ids=str)
@pytest.mark.parametrize("distribution", OP.distributions)
def test_the_default_passes_the_check(distribution, axes):
    assert check_configs(OP.name, "triton", axes, distribution, [{}], seed=11) == 1


@pytest.mark.parametrize(("page", "h_q", "runs"), [(64, 17, 4), (61, 17, 4), (1, 9, 4)])
def test_every_tile_passes_the_check(page, h_q, runs):
    """34 or 18 rows, 200 keys of rising scores: the last of four tiles is not full and partly hidden from the first query."""
    axes = {"b": 1, "s_q": 2, "s_kv": 200, "h_q": h_q, "page": page, "causal": 1}
    tiles = [c for c in IMPLEMENTATION.configs() if c["NUM_SPLITS"] == 1]
    assert check_configs(OP.name, "triton", axes, "rising", tiles, seed=3) == runs


def test_every_choice_passes_the_check():
    axes = {"b": 2, "s_q": 2, "s_kv": 520, "h_q": 2, "page": 61, "causal": 1}
    choices = one_at_a_time(OP.name, "triton")
    # 16 choices; 4 rows fit no tile but the swapped one of 16, 9 tiles no 16 splits or more
    assert check_configs(OP.name, "triton", axes, "rising", choices, seed=3) == 9


@pytest.mark.parametrize("h_q", [64, 128])
@pytest.mark.parametrize("swap", [False, True])
def test_many_heads(h_q, swap):
    axes = {"b": 1, "s_q": 1, "s_kv": 100, "h_q": h_q, "page": 64, "causal": 0}
    run_config(make(axes, "peaked"), SWAP=swap)


@pytest.mark.parametrize("page", [2, 64, 128])
def test_a_tile_hidden_from_the_first_of_two_queries(page):
    """65 keys: the second tile is one key, which only the second query sees; alone in its split, then in one with others."""
    inputs = make({"b": 1, "s_q": 2, "s_kv": 65, "h_q": 2, "page": page, "causal": 1})
    for splits in (1, 2):
        run_config(inputs, NUM_SPLITS=splits)


@pytest.mark.parametrize("distribution", ["ragged", "empty", "one_key"])
def test_splits_without_any_key(distribution):
    """More splits than tiles; the partial results of the empty ones are never written and must not count."""
    inputs = make({"b": 3, "s_q": 2, "s_kv": 130, "h_q": 2, "page": 53, "causal": 1}, distribution)
    run_config(inputs, NUM_SPLITS=16)


@pytest.mark.parametrize("sm_scale", [-0.2, 0.0, 1e-60, 3])
def test_any_finite_scale(sm_scale):
    inputs = make({"b": 2, "s_q": 2, "s_kv": 100, "h_q": 4, "page": 64, "causal": 1}, sm_scale=sm_scale)
    run_config(inputs)


def test_blocks_far_into_a_cache():
    """A cache of more than 2^31 elements, of which only the last block is touched: its offset does not fit 32 bits."""
    inputs = make({"b": 1, "s_q": 1, "s_kv": 3, "h_q": 1, "page": 4, "causal": 0})
    blocks = 2**31 // (4 * 576) + 2
    cache = torch.empty((blocks, 4, 1, 576), dtype=torch.bfloat16)
    cache[-1] = inputs.kv_cache[inputs.block_table[0, 0]]
    table = torch.full_like(inputs.block_table, blocks - 1)
    expected = run_poisoned(OP, IMPLEMENTATION, inputs)
    outputs = run_poisoned(OP, IMPLEMENTATION, replace(inputs, kv_cache=cache, block_table=table))
    assert all(torch.equal(a, b) for a, b in zip(outputs, expected, strict=True))


def test_a_cache_that_starts_anywhere_in_memory():
    """TMA needs 16-byte addresses; a view into a larger tensor may have others and is gathered."""
    inputs = make({"b": 2, "s_q": 1, "s_kv": 100, "h_q": 2, "page": 64, "causal": 0})
    shifted = torch.zeros(inputs.kv_cache.numel() + 1, dtype=torch.bfloat16)[1:].view_as(inputs.kv_cache)
    shifted.copy_(inputs.kv_cache)
    run_config(replace(inputs, kv_cache=shifted))


def test_repeats_are_bitwise_equal_and_inputs_stay():
    inputs = make({"b": 2, "s_q": 2, "s_kv": 200, "h_q": 4, "page": 61, "causal": 1}, "ragged")
    tensors = (inputs.q, inputs.kv_cache.view(torch.int16), inputs.block_table, inputs.cache_seqlens)
    before = [t.clone() for t in tensors]
    first, second = (run_poisoned(OP, IMPLEMENTATION, inputs, {"NUM_SPLITS": 2}) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))


@pytest.mark.parametrize("b", [1, 74, 128])
@pytest.mark.parametrize(("h_q", "s_q"), [(1, 1), (8, 1), (16, 2), (20, 3), (128, 1), (128, 2)])
@pytest.mark.parametrize("s_kv", [1, 4096, 32768])
def test_defaults_run_and_few_rows_are_split(b, h_q, s_q, s_kv):
    axes = OP.complete_axes({"b": b, "s_q": s_q, "s_kv": s_kv, "h_q": h_q})
    config = default_config(axes)
    assert IMPLEMENTATION.constraint(config, axes) is None
    tiles = -(-s_kv // 64)
    assert programs(config["BLOCK_H"], axes) * config["NUM_SPLITS"] >= min(tiles // 2, 64)  # half of an H100 at least


def test_configs_that_cannot_run_are_refused_in_words():
    refuse = IMPLEMENTATION.constraint
    axes = OP.complete_axes({"b": 128, "s_kv": 32768, "h_q": 128})
    default = default_config(axes)
    assert default == {"SWAP": False, "BLOCK_H": 64, "NUM_WARPS": 8, "NUM_SPLITS": 1}
    assert "mma.sync" in refuse({**default, "BLOCK_H": 32}, axes)
    assert "spill" in refuse({**default, "NUM_WARPS": 4}, axes)
    assert "padding" in refuse(default, {**axes, "h_q": 32})
    swapped = {**default, "SWAP": True, "BLOCK_H": 32, "NUM_WARPS": 4}
    assert "read 4 times" in refuse(swapped, axes)
    assert refuse(swapped, {**axes, "h_q": 32}) is None
    assert "programs already" in refuse({**default, "NUM_SPLITS": 8}, axes)
    assert "more splits than the 1 key tiles" in refuse({**default, "NUM_SPLITS": 2}, {**axes, "s_kv": 64})
    for b, h_q in ((1, 8), (1, 16), (1, 128), (128, 128)):
        assert sum(refuse(c, {**axes, "b": b, "h_q": h_q}) is None for c in IMPLEMENTATION.configs()) <= 48
