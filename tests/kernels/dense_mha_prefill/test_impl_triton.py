"""The Triton kernels in Triton's interpreter: every distribution, every tunable, awkward shapes, into poisoned outputs."""

from dataclasses import replace

import pytest
import torch

from dsabench.kernels.dense_mha_prefill.contract import OP
from dsabench.kernels.dense_mha_prefill.impl_triton import (
    IMPLEMENTATION,
    SHARED_LIMIT,
    default_config,
    programs,
    shared_bytes,
)
from dsabench.kernels.workload import Workload
from tests.kernels.cpu_cases import one_at_a_time
from tests.kernels.running import check_all_rows, check_configs, poisoned_outputs, run_poisoned

SHAPES = (
    {"s_q": 1, "s_kv": 1, "h_q": 1},
    {"s_q": 70, "s_kv": 150, "h_q": 2},  # a tile of 64 or 128 queries that is not full, tiles of keys on the diagonal
    {"s_q": 3, "s_kv": 200, "h_q": 3},
    {"s_q": 130, "s_kv": 130, "h_q": 1},
)


def make(axes, distribution="normal", **changes):
    return replace(Workload.of(OP.name, axes, distribution, seed=5).make_inputs(), **changes)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("distribution", OP.distributions)
def test_the_default_passes_the_check(distribution, causal):
    for axes in SHAPES:
        assert check_configs(OP.name, "triton", {**axes, "causal": causal}, distribution, [{}], seed=11) == 1


def test_every_choice_passes_the_check():
    """70 queries at the end of 520 keys: tiles seen by all queries, tiles cut by the diagonal, a tile cut by the end."""
    axes = {"s_q": 70, "s_kv": 520, "h_q": 1, "causal": 1}
    choices = [*one_at_a_time(OP.name, "triton"), {"BLOCK_KV": 64, "NUM_STAGES": 3}, {"BLOCK_KV": 64, "NUM_SPLITS": 8}]
    # 15 choices; of 5 tiles of 128 keys no 8, 16 or 32 splits are made, and three stages of 128 keys are too much memory
    assert check_configs(OP.name, "triton", axes, "rising", choices, seed=3) == 11


def test_more_queries_than_keys_without_causal():
    assert check_configs(OP.name, "triton", {"s_q": 130, "s_kv": 9, "h_q": 2, "causal": 0}, "peaked", [{}], seed=1) == 1


def test_128_heads():
    assert check_configs(OP.name, "triton", {"s_q": 2, "s_kv": 3, "h_q": 128, "causal": 1}, "normal", [{}], seed=1) == 1


@pytest.mark.parametrize("causal", [False, True])
def test_splits_without_any_visible_key(causal):
    """32 splits of three key tiles, the last of which only the last queries see."""
    inputs = make({"s_q": 70, "s_kv": 140, "h_q": 1, "causal": int(causal)})
    config = {**default_config(OP.axes_of(inputs)), "BLOCK_KV": 64, "NUM_SPLITS": 32}
    outputs = poisoned_outputs(OP, inputs)
    IMPLEMENTATION.run(inputs, outputs, config)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("sm_scale", [-0.2, 0.0, -0.0, 1e-30, 1e-60, 3])
@pytest.mark.parametrize("splits", [1, 2])
def test_any_finite_scale(sm_scale, splits):
    inputs = make({"s_q": 5, "s_kv": 150, "h_q": 2, "causal": 1}, sm_scale=sm_scale)
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs, {"NUM_SPLITS": splits}))
    assert verdict.passed, verdict.reason


def test_what_a_query_does_not_see_does_not_count():
    """Keys past the first query's limit change the outputs of later queries only, whatever they are."""
    inputs = make({"s_q": 4, "s_kv": 70, "h_q": 2, "causal": 1})
    first, _ = run_poisoned(OP, IMPLEMENTATION, inputs)
    inputs.k[67:] = 1e4
    inputs.v[67:] = -1e4
    second, _ = run_poisoned(OP, IMPLEMENTATION, inputs)
    assert torch.equal(first[0], second[0])
    assert not torch.equal(first[1], second[1])


def test_keys_that_start_anywhere_in_memory():
    """TMA needs 16-byte addresses; a view into a larger tensor may have others."""
    inputs = make({"s_q": 2, "s_kv": 3, "h_q": 1, "causal": 1})
    expected = run_poisoned(OP, IMPLEMENTATION, inputs)
    shifted = torch.zeros(inputs.k.numel() + 1, dtype=torch.bfloat16)[1:].view_as(inputs.k)
    shifted.copy_(inputs.k)
    outputs = run_poisoned(OP, IMPLEMENTATION, replace(inputs, k=shifted))
    assert all(torch.equal(a, b) for a, b in zip(outputs, expected, strict=True))


def test_repeats_are_bitwise_equal_and_inputs_stay():
    inputs = make({"s_q": 70, "s_kv": 300, "h_q": 2, "causal": 1})
    before = [t.clone() for t in (inputs.q, inputs.k, inputs.v)]
    first, second = (run_poisoned(OP, IMPLEMENTATION, inputs, {"NUM_SPLITS": 2}) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip((inputs.q, inputs.k, inputs.v), before, strict=True))


@pytest.mark.parametrize("s_q", [1, 64, 65, 128, 4096])
@pytest.mark.parametrize("h_q", [1, 8, 128])
@pytest.mark.parametrize("s_kv", [4096, 131072])
def test_defaults_run_and_few_queries_are_split(s_q, h_q, s_kv):
    axes = {"s_q": s_q, "s_kv": s_kv, "h_q": h_q, "causal": 1}
    config = default_config(axes)
    assert IMPLEMENTATION.constraint(config, axes) is None
    cuts = programs(config["BLOCK_Q"], axes)
    assert cuts * config["NUM_SPLITS"] >= min(32 * cuts, 66)  # half of an H100 at least


def test_configs_that_cannot_run_are_refused_in_words():
    axes = OP.complete_axes({"s_q": 4096, "s_kv": 8192, "h_q": 128})
    default = default_config(axes)
    assert default["NUM_SPLITS"] == 1
    refuse = IMPLEMENTATION.constraint
    assert "4096 programs already" in refuse({**default, "NUM_SPLITS": 2}, axes)
    assert "shared memory" in refuse({**default, "NUM_STAGES": 3}, axes)
    assert "padding" in refuse(default, {**axes, "s_q": 64})
    assert "more splits than the 1 key tiles" in refuse(
        {**default, "NUM_SPLITS": 2}, {**axes, "s_q": 128, "s_kv": 128, "h_q": 1}
    )
    legal = [c for c in IMPLEMENTATION.configs() if refuse(c, axes) is None]
    assert len(legal) == 6
    assert all(shared_bytes(c) <= SHARED_LIMIT for c in legal)
