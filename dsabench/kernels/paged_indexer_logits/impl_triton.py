"""Paged indexer logits as a Triton kernel for Hopper: its tunables, which of them can run, how a call is cut into programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.index_cache import BLOCK_TOKENS
from dsabench.kernels.indexer_logits.impl_triton import (
    KV_TILES,
    MIN_COLUMNS,
    default_kv_tiles,
    kv_tiles_reason,
    largest_tile,
)
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.triton.implementation import triton_implementation
from dsabench.kernels.triton.launch import Launch

if TYPE_CHECKING:
    from dsabench.kernels.paged_indexer_logits.contract import Inputs

MAX_COLUMNS = 256
"""queries × heads of the widest product: 128 accumulators a thread at 64 keys"""


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[Launch]:
    """One launch: (sequences × query tiles) × runs of columns.

    The query tiles of a sequence are neighbours: they read the same keys at the same time, HBM gives them once. The first
    runs of all sequences start first: with ragged contexts the last ones are mostly -inf to write, and the tail is short.
    """
    from dsabench.kernels.paged_indexer_logits.triton_kernels import paged_indexer_logits_kernel
    from dsabench.kernels.triton.compute_type import COMPUTE

    b, next_n, h, _ = inputs.q.shape
    block_q = int(config["BLOCK_Q"])
    run_keys = BLOCK_TOKENS * int(config["KV_TILES"])
    cache = inputs.k_cache.view(-1)
    arguments = {
        "q_ptr": inputs.q,
        "codes_ptr": cache.view(torch.float8_e4m3fn),
        "scales_ptr": cache.view(torch.float32),
        "weights_ptr": inputs.weights,
        "context_lens_ptr": inputs.context_lens,
        "block_table_ptr": inputs.block_table,
        "out_ptr": outputs[0],
        "next_n": next_n,
        "max_blocks": inputs.block_table.shape[1],
        "max_context_len": inputs.max_context_len,
        "run_keys": run_keys,
        "H": h,
        "BLOCK_Q": block_q,
        "CT": COMPUTE,
    }
    grid = (b * -(-next_n // block_q), -(-inputs.max_context_len // run_keys))
    return [Launch(paged_indexer_logits_kernel, grid, arguments, 4, int(config["NUM_STAGES"]))]


def _programs(axes: Axes, block_q: int) -> Callable[[int], int]:
    rows = axes["b"] * -(-axes["next_n"] // block_q)
    return lambda kv_tiles: rows * -(-axes["s_kv"] // (BLOCK_TOKENS * kv_tiles))


def _all_queries(axes: Axes) -> int:
    """Queries of the tile that reads a sequence's keys the fewest times."""
    return min(largest_tile(axes["next_n"], axes["h"]), MAX_COLUMNS // axes["h"])


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """All queries of a sequence in one tile where 256 columns hold them, so that its keys are read once.

    Compiled for sm_90a at 64 heads and next_n = 1: 80 registers, no spills, 41 KB of shared memory, five programs an SM with
    three blocks on their way each: 120 KB in flight, where 4.8 TB/s over 132 SMs at 1 µs of latency need 36 KB. A block takes
    165 instructions a warp (241 at next_n = 2) while HBM needs about 400 cycles to bring it: larger tiles would gain nothing.
    """
    block_q = _all_queries(axes)
    kv_tiles = default_kv_tiles(_programs(axes, block_q), 2 if block_q * axes["h"] == MAX_COLUMNS else 4)
    return {"BLOCK_Q": block_q, "KV_TILES": kv_tiles, "NUM_STAGES": 4}


def constraint(config: Config, axes: Axes) -> str | None:
    block_q, most = int(config["BLOCK_Q"]), _all_queries(axes)
    if block_q * axes["h"] < MIN_COLUMNS:
        return f"{block_q * axes['h']} columns would fall back to mma.sync: wgmma is used from {MIN_COLUMNS} on"
    if block_q > most:
        return f"BLOCK_Q = {block_q} exceeds next_n = {axes['next_n']} or {MAX_COLUMNS} columns"
    if 2 * block_q < most:
        return f"BLOCK_Q = {block_q} reads every key {most // block_q} times as often as BLOCK_Q = {most}"
    return kv_tiles_reason(int(config["KV_TILES"]), _programs(axes, block_q))


def describe(config: Config) -> str:
    return f"fp8 wgmma, cache blocks by cp.async in {config['NUM_STAGES']} stages"


IMPLEMENTATION = triton_implementation(
    op="paged_indexer_logits",
    summary="Triton for sm_90: fp8 wgmma of a cache block with a sequence's queries, heads summed in registers",
    tunables=(
        Tunable("BLOCK_Q", (1, 2, 4, 8, 16, 32), "queries of a sequence scored against each block", recompiles=True),
        KV_TILES,
        Tunable("NUM_STAGES", (2, 4, 6), "blocks in shared memory at a time", recompiles=True),
    ),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
    describe=describe,
)
