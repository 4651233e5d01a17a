"""The Triton kernel in Triton's interpreter: every distribution, tunable and head count, ragged tiles, and what its plan says."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dsabench.bench.suites import load_suite
from dsabench.kernels.implementation import Config
from dsabench.kernels.index_data import HEADS
from dsabench.kernels.indexer_logits import impl_triton as module
from dsabench.kernels.indexer_logits.contract import DISTRIBUTIONS, OP
from dsabench.kernels.indexer_logits.impl_triton import IMPLEMENTATION, constraint, default_config, plan
from dsabench.kernels.workload import Workload
from tests.kernels.running import check_all_rows, check_configs, poisoned_outputs

SEED = 2203
RAGGED = {"s_q": 11, "s_kv": 330, "h": 16}
"""neither a multiple of any BLOCK_Q nor of any BLOCK_KV; two runs of keys at KV_TILES = 4"""


def inputs_of(axes: dict[str, int], distribution: str = "normal"):
    return Workload.of("indexer_logits", axes, distribution, SEED).make_inputs()


def run_any(inputs, config: Config) -> torch.Tensor:
    """Runs a config at a shape that is too small for it to be worth while: `constraint` refuses it, the kernel must not."""
    outputs = poisoned_outputs(OP, inputs)
    IMPLEMENTATION.run(inputs, outputs, {**default_config(OP.axes_of(inputs)), **config})
    return outputs[0]


def assert_right(inputs, config: Config) -> None:
    logits = run_any(inputs, config)
    verdict = check_all_rows(OP, inputs, (logits,))
    assert verdict.passed, f"{config}: {verdict.reason}"


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("causal", [0, 1])
def test_every_distribution(distribution, causal):
    assert check_configs("indexer_logits", "triton", {**RAGGED, "causal": causal}, distribution, [{}], SEED) == 1


@pytest.mark.parametrize(
    "config", [{t.name: choice} for t in IMPLEMENTATION.tunables for choice in t.choices], ids=lambda c: str(c)
)
def test_every_choice_of_every_tunable(config):
    assert_right(inputs_of({**RAGGED, "h": 8}, "ragged_windows"), config)


@pytest.mark.parametrize("h", HEADS)
@pytest.mark.parametrize(("s_q", "block_q"), [(1, 1), (1, 2), (5, 2), (5, 4), (5, 8)])
def test_every_head_count_and_queries_that_fill_no_tile(h, s_q, block_q):
    assert_right(inputs_of({"s_q": s_q, "s_kv": 100, "h": h, "causal": 0}), {"BLOCK_Q": block_q})


@pytest.mark.parametrize("s_kv", [1, 2, 63, 64, 65, 256, 257])
def test_rows_that_end_anywhere_in_a_tile(s_kv):
    assert_right(inputs_of({"s_q": 3, "s_kv": s_kv, "h": 8}), {})


@pytest.mark.parametrize(
    ("start", "end", "s_kv"),
    [
        (0, 0, 530),
        (0, 1, 530),
        (529, 530, 530),
        (511, 512, 512),
        (255, 257, 530),
        (256, 512, 530),
        (64, 128, 512),
        (300, 299, 530),
        (530, 0, 530),
    ],
)
def test_one_window_for_all_rows_at_every_edge_of_tiles_and_runs(start, end, s_kv):
    """-inf before and after, exactly; the runs of keys are 256 wide."""
    inputs = inputs_of({"s_q": 3, "s_kv": s_kv, "h": 8})
    inputs = replace(inputs, ks=torch.full_like(inputs.ks, start), ke=torch.full_like(inputs.ke, end))
    logits = run_any(inputs, {"KV_TILES": 4})
    outside = torch.ones(s_kv, dtype=torch.bool)
    outside[start : max(start, end)] = False
    assert torch.equal(torch.isneginf(logits), outside.expand(3, -1))
    assert check_all_rows(OP, inputs, (logits,)).passed


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("window", [(0, 530), (300, 530), (0, 100), (260, 520), (528, 530), (530, 0)])
def test_a_run_of_keys_writes_no_columns_of_others(runs, window):
    """On a GPU nothing orders two programs that write the same element."""
    inputs = inputs_of({"s_q": 3, "s_kv": 530, "h": 8})
    inputs = replace(inputs, ks=torch.full_like(inputs.ks, window[0]), ke=torch.full_like(inputs.ke, window[1]))
    outputs = poisoned_outputs(OP, inputs)
    (launch,) = plan(inputs, outputs, {**default_config(OP.axes_of(inputs)), "KV_TILES": 4})
    assert launch.grid == (1, 3)
    replace(launch, grid=(1, runs)).run()
    written = outputs[0].view(torch.uint8).ne(0x7F).view(3, 530, 4).any(-1)
    assert torch.equal(written, (torch.arange(530) < 256 * runs).expand(3, -1))


def test_launches_are_bitwise_equal_and_leave_the_inputs_alone():
    inputs = inputs_of({**RAGGED, "s_q": 5, "s_kv": 150}, "ragged_windows")
    tensors = [getattr(inputs, name) for name in ("q", "k", "k_scale", "weights", "ks", "ke")]
    before = [t.view(torch.uint8).clone() for t in tensors]
    first = run_any(inputs, {}).view(torch.int32)
    for _ in range(19):
        assert torch.equal(run_any(inputs, {}).view(torch.int32), first)
    assert all(torch.equal(old, t.view(torch.uint8)) for old, t in zip(before, tensors, strict=True))


def published_axes() -> list[dict[str, int]]:
    suites = ("deepgemm-indexer", "quick", "tiny", "v32-prefill", "verify")
    found = [w.axis_values for name in suites for w in load_suite(name).workloads if w.op == "indexer_logits"]
    return found + [{**axes, "h": h} for axes in found for h in HEADS]


def test_the_default_is_legal_and_the_grid_small_at_every_published_shape():
    for axes in published_axes():
        full = OP.complete_axes(axes)
        legal = [config for config in IMPLEMENTATION.configs() if constraint(config, full) is None]
        assert default_config(full) in legal, axes
        assert 1 <= len(legal) <= 48, (axes, len(legal))


@pytest.mark.parametrize(
    ("config", "axes", "words"),
    [
        ({"BLOCK_Q": 1}, {"s_q": 64, "h": 8}, "mma.sync"),
        ({"BLOCK_Q": 8}, {"s_q": 3, "h": 64}, "3 queries"),
        ({"BLOCK_Q": 1}, {"s_q": 64, "h": 64}, "take BLOCK_Q = 2"),
        ({"BLOCK_Q": 8, "BLOCK_KV": 128}, {"s_q": 64, "h": 64}, "accumulators"),
        ({"KV_TILES": 64}, {"s_q": 64, "s_kv": 16384}, "fewer than 132 SMs"),
        ({"KV_TILES": 4}, {"s_q": 4096, "s_kv": 65536}, "four an SM"),
    ],
)
def test_the_constraint_says_why(config, axes, words):
    full = OP.complete_axes(axes)
    reason = constraint({**default_config(full), **config}, full)
    assert reason is not None
    assert words in reason


def test_a_plan_covers_the_output_once_and_looks_at_no_data():
    inputs = OP.empty_inputs(OP.complete_axes({"s_q": 1037, "s_kv": 70001, "h": 8}), torch.device("meta"))
    outputs = OP.empty_outputs(inputs)
    for config in IMPLEMENTATION.configs():
        (launch,) = plan(inputs, outputs, config)
        query_tiles, runs = launch.grid
        run_keys = launch.arguments["run_keys"]
        assert run_keys == config["KV_TILES"] * config["BLOCK_KV"]
        assert 0 <= query_tiles * config["BLOCK_Q"] - 1037 < config["BLOCK_Q"]
        assert 0 <= runs * run_keys - 70001 < run_keys


def test_a_default_fills_the_gpu_before_it_lengthens_runs():
    """64 queries of 16K keys make 16 query tiles: runs of 16 tiles give 256 programs, one round of two an SM."""
    assert default_config(OP.complete_axes({"s_q": 64, "s_kv": 16384}))["KV_TILES"] == 16
    assert default_config(OP.complete_axes({"s_q": 16, "s_kv": 4096}))["KV_TILES"] == 4
    assert default_config(OP.complete_axes({"s_q": 4096, "s_kv": 131072}))["KV_TILES"] == 64
    assert module.kv_tiles_reason(4, lambda tiles: 1) is None
