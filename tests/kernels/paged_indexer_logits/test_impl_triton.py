"""The Triton kernel in Triton's interpreter: every distribution, tunable and head count, dead table entries, and its plan."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dsabench.bench.suites import load_suite
from dsabench.kernels.implementation import Config
from dsabench.kernels.index_cache import BLOCK_TOKENS
from dsabench.kernels.index_data import HEADS
from dsabench.kernels.paged_indexer_logits.contract import DISTRIBUTIONS, OP
from dsabench.kernels.paged_indexer_logits.impl_triton import IMPLEMENTATION, constraint, default_config, plan
from dsabench.kernels.workload import Workload
from tests.kernels.running import check_all_rows, check_configs, poisoned_outputs

SEED = 2204
RAGGED = {"b": 4, "next_n": 3, "s_kv": 330, "h": 16}
"""a tile with a query to spare; two runs of columns at KV_TILES = 4; a last block that is not full"""


def inputs_of(axes: dict[str, int], distribution: str = "normal"):
    return Workload.of("paged_indexer_logits", axes, distribution, SEED).make_inputs()


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
def test_every_distribution(distribution):
    assert check_configs("paged_indexer_logits", "triton", RAGGED, distribution, [{}], SEED) == 1


@pytest.mark.parametrize(
    "config", [{t.name: choice} for t in IMPLEMENTATION.tunables for choice in t.choices], ids=lambda c: str(c)
)
def test_every_choice_of_every_tunable(config):
    assert_right(inputs_of({**RAGGED, "h": 8}, "ragged"), config)


@pytest.mark.parametrize("h", HEADS)
@pytest.mark.parametrize(("next_n", "block_q"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (5, 4)])
def test_every_head_count_and_queries_that_fill_no_tile(h, next_n, block_q):
    assert_right(inputs_of({"b": 2, "next_n": next_n, "s_kv": 100, "h": h}), {"BLOCK_Q": block_q})


@pytest.mark.parametrize("s_kv", [1, 2, 63, 64, 65, 256, 257])
def test_contexts_that_end_anywhere_in_a_block(s_kv):
    assert_right(inputs_of({"b": 1, "next_n": 2, "s_kv": s_kv, "h": 8}), {"KV_TILES": 4})


@pytest.mark.parametrize("length", [0, 1, 64, 255, 256, 257, 320])
@pytest.mark.parametrize("garbage", [-1, 2**31 - 1, -(2**31)])
def test_table_entries_past_a_context_are_not_used(length, garbage):
    """Used as an address, one of these entries would end the process."""
    inputs = inputs_of({"b": 1, "next_n": 2, "s_kv": 320, "h": 8})
    lens = torch.tensor([[max(length - 1, 0), length]], dtype=torch.int32)
    table = inputs.block_table.clone()
    table[:, -(-length // BLOCK_TOKENS) :] = garbage
    assert_right(replace(inputs, context_lens=lens, block_table=table), {"KV_TILES": 4})


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("length", [0, 100, 256, 300, 530])
def test_a_run_of_columns_writes_no_others(runs, length):
    """On a GPU nothing orders two programs that write the same element."""
    inputs = inputs_of({"b": 1, "next_n": 3, "s_kv": 530, "h": 8})
    inputs = replace(inputs, context_lens=torch.full_like(inputs.context_lens, length))
    outputs = poisoned_outputs(OP, inputs)
    (launch,) = plan(inputs, outputs, {**default_config(OP.axes_of(inputs)), "KV_TILES": 4})
    assert launch.grid == (1, 3)
    replace(launch, grid=(1, runs)).run()
    written = outputs[0].view(torch.uint8).ne(0x7F).view(3, 530, 4).any(-1)
    assert torch.equal(written, (torch.arange(530) < 256 * runs).expand(3, -1))


def test_a_cache_without_blocks_is_not_read():
    inputs = inputs_of({"b": 2, "next_n": 1, "s_kv": 70, "h": 8})
    inputs = replace(inputs, k_cache=inputs.k_cache[:0], context_lens=torch.zeros_like(inputs.context_lens))
    assert bool(torch.isneginf(run_any(inputs, {})).all())


def test_launches_are_bitwise_equal_and_leave_the_inputs_alone():
    inputs = inputs_of({**RAGGED, "s_kv": 150}, "ragged")
    tensors = [getattr(inputs, name) for name in ("q", "k_cache", "weights", "context_lens", "block_table")]
    before = [t.view(torch.uint8).clone() for t in tensors]
    first = run_any(inputs, {}).view(torch.int32)
    for _ in range(19):
        assert torch.equal(run_any(inputs, {}).view(torch.int32), first)
    assert all(torch.equal(old, t.view(torch.uint8)) for old, t in zip(before, tensors, strict=True))


def test_the_default_is_legal_and_the_grid_small_at_every_published_shape():
    suites = ("deepgemm-indexer", "flashinfer-bench", "long", "quick", "tiny", "v32-decode", "verify")
    found = [w.axis_values for name in suites for w in load_suite(name).workloads if w.op == "paged_indexer_logits"]
    found += [{**axes, "h": h} for axes in found for h in HEADS]
    found += [{**axes, "next_n": next_n} for axes in found for next_n in (3, 64)]
    for axes in found:
        full = OP.complete_axes(axes)
        legal = [config for config in IMPLEMENTATION.configs() if constraint(config, full) is None]
        assert default_config(full) in legal, axes
        assert 1 <= len(legal) <= 40, (axes, len(legal))


@pytest.mark.parametrize(
    ("config", "axes", "words"),
    [
        ({"BLOCK_Q": 1}, {"h": 8}, "mma.sync"),
        ({"BLOCK_Q": 2}, {"next_n": 1, "h": 64}, "exceeds next_n = 1"),
        ({"BLOCK_Q": 8}, {"next_n": 8, "h": 64}, "256 columns"),
        ({"BLOCK_Q": 1}, {"next_n": 4, "h": 64}, "reads every key 4 times as often"),
        ({"KV_TILES": 64}, {"s_kv": 65536}, "fewer than 132 SMs"),
        ({"KV_TILES": 4}, {"b": 128, "s_kv": 65536}, "four an SM"),
    ],
)
def test_the_constraint_says_why(config, axes, words):
    full = OP.complete_axes(axes)
    reason = constraint({**default_config(full), **config}, full)
    assert reason is not None
    assert words in reason


def test_a_plan_covers_the_output_once_and_looks_at_no_data():
    inputs = OP.empty_inputs(OP.complete_axes({"b": 7, "next_n": 5, "s_kv": 70001, "h": 8}), torch.device("meta"))
    outputs = OP.empty_outputs(inputs)
    for config in IMPLEMENTATION.configs():
        (launch,) = plan(inputs, outputs, config)
        rows, runs = launch.grid
        run_keys = launch.arguments["run_keys"]
        assert run_keys == config["KV_TILES"] * BLOCK_TOKENS
        assert 0 <= rows // 7 * config["BLOCK_Q"] - 5 < config["BLOCK_Q"]
        assert rows % 7 == 0
        assert 0 <= runs * run_keys - 70001 < run_keys
