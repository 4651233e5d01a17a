"""The TileLang program: the CUDA C++ that it is lowered to, run on the CPU by `cuda_emulator`; its plans."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dsabench.bench.suites import load_suite
from dsabench.kernels.implementation import Config
from dsabench.kernels.index_data import HEADS
from dsabench.kernels.indexer_logits.contract import DISTRIBUTIONS, MAX_CONTEXT, OP, Inputs
from dsabench.kernels.indexer_logits.impl_tilelang import (
    IMPLEMENTATION,
    MAX_OFFSET_ROWS,
    constraint,
    default_config,
    plan,
)
from dsabench.kernels.workload import Workload
from tests.kernels.emulated_cuda import needs_compiler
from tests.kernels.emulated_tilelang import emulate
from tests.kernels.running import check_all_rows, poisoned_outputs

pytest.importorskip("tilelang")

H = 8
# Lowering a kernel takes seconds: all emulated tests share two. A thread with heads of its own against four that share a query; a
# product of one wgmma tile against two; a ring that is full at every step against one with room.
PROGRAMS: dict[str, Config] = {
    "8 queries": {"BLOCK_Q": 8, "BLOCK_KV": 64, "KV_TILES": 4, "NUM_STAGES": 2},
    "1 query": {"BLOCK_Q": 1, "BLOCK_KV": 128, "KV_TILES": 2, "NUM_STAGES": 4},
}
by_program = pytest.mark.parametrize("config", PROGRAMS.values(), ids=PROGRAMS)
RAGGED = {"s_q": 11, "s_kv": 1033, "h": H}
"""neither a multiple of the tiles; five runs of keys"""


def inputs_of(axes: dict[str, int], distribution: str = "normal", seed: int = 2305) -> Inputs:
    return Workload.of("indexer_logits", axes, distribution, seed).make_inputs()


def logits_of(inputs: Inputs, config: Config, seed: int = 0) -> torch.Tensor:
    """Checked on every row. seed: of the order in which threads take turns."""
    outputs = poisoned_outputs(OP, inputs)
    emulate(plan(inputs, outputs, config), seed)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    return outputs[0]


@needs_compiler
@by_program
@pytest.mark.parametrize("causal", [0, 1])
def test_every_distribution(causal, config):
    for seed, distribution in enumerate(DISTRIBUTIONS):
        logits_of(inputs_of({**RAGGED, "causal": causal}, distribution, seed), config, seed)


@needs_compiler
@by_program
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
        (0, 1, 1),
        (0, 63, 63),
    ],
)
def test_one_window_for_all_rows_at_every_edge_of_tiles_and_runs(start, end, s_kv, config):
    """-inf before and after, exactly; the runs of keys are 256 wide."""
    inputs = inputs_of({"s_q": 3, "s_kv": s_kv, "h": H})
    inputs = replace(inputs, ks=torch.full_like(inputs.ks, start), ke=torch.full_like(inputs.ke, end))
    outside = torch.ones(s_kv, dtype=torch.bool)
    outside[start : max(start, end)] = False
    assert torch.equal(torch.isneginf(logits_of(inputs, config)), outside.expand(3, -1))


@needs_compiler
@by_program
def test_the_order_of_threads_changes_no_bit(config):
    inputs = inputs_of({"s_q": 9, "s_kv": 400, "h": H}, "ragged_windows")
    tensors = [getattr(inputs, name) for name in ("q", "k", "k_scale", "weights", "ks", "ke")]
    before = [t.view(torch.uint8).clone() for t in tensors]
    first = logits_of(inputs, config).view(torch.int32)
    for seed in range(1, 8):
        assert torch.equal(logits_of(inputs, config, seed).view(torch.int32), first)
    assert all(torch.equal(old, t.view(torch.uint8)) for old, t in zip(before, tensors, strict=True))


@needs_compiler
@by_program
def test_windows_may_be_a_slice_that_begins_anywhere(config):
    inputs = inputs_of({"s_q": 5, "s_kv": 100, "h": H}, "ragged_windows")
    windows = torch.stack((inputs.ks, inputs.ke))
    assert windows[1].storage_offset() * 4 % 16
    assert torch.equal(logits_of(replace(inputs, ks=windows[0], ke=windows[1]), config), logits_of(inputs, config))


def published_axes() -> list[dict[str, int]]:
    suites = ("deepgemm-indexer", "quick", "tiny", "v32-prefill", "verify")
    found = [w.axis_values for name in suites for w in load_suite(name).workloads if w.op == "indexer_logits"]
    return found + [{**axes, "h": h} for axes in found for h in HEADS]


def test_the_default_is_legal_and_the_grid_small_at_every_published_shape():
    for axes in published_axes():
        full = OP.complete_axes(axes)
        legal = [config for config in IMPLEMENTATION.configs() if constraint(config, full) is None]
        assert default_config(full) in legal, axes
        assert 1 <= len(legal) <= 30, (axes, len(legal))


@pytest.mark.parametrize(
    ("config", "axes", "words"),
    [
        ({"BLOCK_Q": 8}, {"s_q": 64, "h": 64}, "up to 256"),
        ({"BLOCK_Q": 4}, {"s_q": 2, "h": 64}, "2 queries"),
        ({"BLOCK_Q": 1}, {"s_q": 64, "h": 64}, "take BLOCK_Q = 2"),
        ({"BLOCK_Q": 4, "BLOCK_KV": 128}, {"s_q": 64, "h": 64}, "accumulators"),
        ({"KV_TILES": 64}, {"s_q": 64, "s_kv": 16384}, "fewer than 132 SMs"),
    ],
)
def test_the_constraint_says_why(config, axes, words):
    full = OP.complete_axes(axes)
    reason = constraint({**default_config(full), **config}, full)
    assert reason is not None
    assert words in reason


def test_offsets_of_keys_and_scales_fit_32_bits_at_the_contract_s_largest_shape():
    assert MAX_OFFSET_ROWS >= MAX_CONTEXT
    assert MAX_OFFSET_ROWS * 128 < 2**31


def test_a_plan_covers_the_output_once_and_looks_at_no_data():
    inputs = OP.empty_inputs(OP.complete_axes({"s_q": 1037, "s_kv": 70001, "h": 8}), torch.device("meta"))
    outputs = OP.empty_outputs(inputs)
    for config in IMPLEMENTATION.configs():
        (launch,) = plan(inputs, outputs, config)
        query_tiles, runs = launch.grid
        run_keys = int(config["KV_TILES"]) * int(config["BLOCK_KV"])
        assert launch.arguments["run_tiles"] == config["KV_TILES"]
        assert 0 <= query_tiles * int(config["BLOCK_Q"]) - 1037 < int(config["BLOCK_Q"])
        assert 0 <= runs * run_keys - 70001 < run_keys
