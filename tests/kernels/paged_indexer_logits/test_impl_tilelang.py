"""The TileLang program: the CUDA C++ that it is lowered to, run on the CPU by `cuda_emulator`; its plans."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dsabench.bench.suites import load_suite
from dsabench.kernels.implementation import Config
from dsabench.kernels.index_cache import BLOCK_TOKENS
from dsabench.kernels.index_data import HEADS
from dsabench.kernels.paged_indexer_logits.contract import DISTRIBUTIONS, OP, Inputs
from dsabench.kernels.paged_indexer_logits.impl_tilelang import IMPLEMENTATION, constraint, default_config, plan
from dsabench.kernels.workload import Workload
from tests.kernels.emulated_cuda import needs_compiler
from tests.kernels.emulated_tilelang import emulate
from tests.kernels.running import check_all_rows, poisoned_outputs

pytest.importorskip("tilelang")

H = 8
# Lowering a kernel takes seconds: all emulated tests share one. Two threads share a query; two cache blocks a product; a ring that is
# full at every step.
CONFIG: Config = {"BLOCK_Q": 2, "PAGES": 2, "KV_TILES": 4, "NUM_STAGES": 2}
RAGGED = {"b": 7, "next_n": 3, "s_kv": 970, "h": H}
"""a tile with a query to spare; four runs of columns, an odd number of blocks in the last, a last block that is not full"""


def inputs_of(axes: dict[str, int], distribution: str = "normal", seed: int = 2306) -> Inputs:
    return Workload.of("paged_indexer_logits", axes, distribution, seed).make_inputs()


def logits_of(inputs: Inputs, seed: int = 0) -> torch.Tensor:
    """Checked on every row. seed: of the order in which threads take turns."""
    outputs = poisoned_outputs(OP, inputs)
    emulate(plan(inputs, outputs, CONFIG), seed)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    return outputs[0]


@needs_compiler
def test_every_distribution():
    for seed, distribution in enumerate(DISTRIBUTIONS):
        logits_of(inputs_of(RAGGED, distribution, seed), seed)


@needs_compiler
@pytest.mark.parametrize("s_kv", [1, 2, 63, 64, 65, 256, 257])
def test_contexts_that_end_anywhere_in_a_block(s_kv):
    logits_of(inputs_of({"b": 1, "next_n": 2, "s_kv": s_kv, "h": H}))


@needs_compiler
@pytest.mark.parametrize("length", [0, 1, 64, 255, 256, 257, 320])
@pytest.mark.parametrize("garbage", [-1, 2**31 - 1, -(2**31)])
def test_table_entries_past_a_context_are_not_used(length, garbage):
    """Used as an address, one of these entries would end the process."""
    inputs = inputs_of({"b": 1, "next_n": 2, "s_kv": 320, "h": H})
    lens = torch.tensor([[max(length - 1, 0), length]], dtype=torch.int32)
    table = inputs.block_table.clone()
    table[:, -(-length // BLOCK_TOKENS) :] = garbage
    logits_of(replace(inputs, context_lens=lens, block_table=table))


@needs_compiler
def test_the_order_of_threads_changes_no_bit():
    inputs = inputs_of({**RAGGED, "s_kv": 400}, "ragged")
    first = logits_of(inputs).view(torch.int32)
    for seed in range(1, 8):
        assert torch.equal(logits_of(inputs, seed).view(torch.int32), first)


def published_axes() -> list[dict[str, int]]:
    suites = ("deepgemm-indexer", "quick", "tiny", "v32-decode", "verify")
    found = [w.axis_values for name in suites for w in load_suite(name).workloads if w.op == "paged_indexer_logits"]
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
        ({"BLOCK_Q": 4}, {"next_n": 2, "h": 64}, "exceeds next_n = 2"),
        ({"BLOCK_Q": 1}, {"next_n": 4, "h": 64}, "4 times as often"),
        ({"BLOCK_Q": 4, "PAGES": 2}, {"next_n": 4, "h": 64}, "accumulators"),
        ({"KV_TILES": 64}, {"b": 1, "s_kv": 16384}, "fewer than 132 SMs"),
    ],
)
def test_the_constraint_says_why(config, axes, words):
    full = OP.complete_axes(axes)
    reason = constraint({**default_config(full), **config}, full)
    assert reason is not None
    assert words in reason


def test_a_plan_covers_the_output_once_and_looks_at_no_data():
    inputs = OP.empty_inputs(OP.complete_axes({"b": 3, "next_n": 5, "s_kv": 70001, "h": 8}), torch.device("meta"))
    outputs = OP.empty_outputs(inputs)
    for config in IMPLEMENTATION.configs():
        (launch,) = plan(inputs, outputs, config)
        tiles, runs = launch.grid
        run_keys = int(config["KV_TILES"]) * BLOCK_TOKENS
        assert launch.arguments["run_tiles"] == config["KV_TILES"]
        assert tiles == 3 * -(-5 // int(config["BLOCK_Q"]))
        assert 0 <= runs * run_keys - 70001 < run_keys
