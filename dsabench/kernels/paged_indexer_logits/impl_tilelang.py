"""Paged indexer logits in TileLang for Hopper: its tunables, which of them can run, and how a call is cut into blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cuda.source import Argument
from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.index_cache import BLOCK_BYTES, BLOCK_TOKENS, SCALES_OFFSET
from dsabench.kernels.indexer_logits.impl_tilelang import (
    MAX_COLUMNS,
    MAX_SCORES,
    PASS_CONFIGS,
    products_of,
    smallest_tile,
)
from dsabench.kernels.indexer_logits.impl_triton import KV_TILES, default_kv_tiles, kv_tiles_reason
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.tilelang.alignment import aligned
from dsabench.kernels.tilelang.implementation import tilelang_implementation
from dsabench.kernels.tilelang.launch import TileLangLaunch, TileLangSource

if TYPE_CHECKING:
    from dsabench.kernels.paged_indexer_logits.contract import Inputs

SOURCE = TileLangSource(Path(__file__).with_name("tilelang_program.py"), "paged_indexer_logits")


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[TileLangLaunch]:
    """One launch: (sequences × query tiles) × runs of columns, as in `impl_triton.plan` and for its reasons."""
    b, next_n, h, dim = inputs.q.shape
    block_q, pages, kv_tiles = int(config["BLOCK_Q"]), int(config["PAGES"]), int(config["KV_TILES"])
    stages = int(config["NUM_STAGES"])
    cache = aligned(inputs.k_cache).view(inputs.k_cache.shape[0], BLOCK_BYTES)
    arguments: dict[str, Argument] = {
        "q": aligned(inputs.q).flatten(0, 1),
        "codes": cache.view(torch.float8_e4m3fn),
        "scales": cache.view(torch.float32),
        "weights": aligned(inputs.weights),
        "context_lens": aligned(inputs.context_lens).flatten(),
        "block_table": aligned(inputs.block_table),
        "out": outputs[0],
        "b": np.int32(b),
        "rows": np.int32(b * next_n),
        "num_blocks": np.int32(cache.shape[0]),
        "max_blocks": np.int32(inputs.block_table.shape[1]),
        "max_context_len": np.int32(inputs.max_context_len),
        "next_n": np.int32(next_n),
        "run_tiles": np.int32(kv_tiles),
    }
    constants = {
        "HEADS": h,
        "DIM": dim,
        "BLOCK_Q": block_q,
        "PAGES": pages,
        "NUM_STAGES": stages,
        "MAX_RUN": int(KV_TILES.choices[-1]),
        "BLOCK_TOKENS": BLOCK_TOKENS,
        "BLOCK_BYTES": BLOCK_BYTES,
        "SCALES_OFFSET": SCALES_OFFSET,
    }
    grid = (b * -(-next_n // block_q), -(-inputs.max_context_len // (BLOCK_TOKENS * kv_tiles)))
    products = products_of(pages * BLOCK_TOKENS, block_q * h, dim)
    return [TileLangLaunch(SOURCE, grid, arguments, constants, products, stages, PASS_CONFIGS)]


def _programs(axes: Axes, block_q: int) -> Callable[[int], int]:
    rows = axes["b"] * -(-axes["next_n"] // block_q)
    return lambda kv_tiles: rows * -(-axes["s_kv"] // (BLOCK_TOKENS * kv_tiles))


def _all_queries(axes: Axes) -> int:
    """Queries of the tile that reads a sequence's keys the fewest times."""
    return min(smallest_tile(axes["next_n"]), MAX_COLUMNS // axes["h"])


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """All queries of a sequence in one tile where 256 columns hold them, so that its keys are read once.

    Compiled for sm_90a at 64 heads and next_n = 1: 80 registers, no spills, 43 KB of shared memory, five blocks an SM with three
    cache blocks on their way each: 127 KB in flight, where 4.8 TB/s over 132 SMs at 1 µs of latency need 36 KB. A cache block takes
    200 instructions a warp while HBM needs about 400 cycles to bring it.
    """
    block_q = _all_queries(axes)
    kv_tiles = default_kv_tiles(_programs(axes, block_q), 2 if block_q * axes["h"] == MAX_COLUMNS else 4)
    return {"BLOCK_Q": block_q, "PAGES": 1, "KV_TILES": kv_tiles, "NUM_STAGES": 4}


def constraint(config: Config, axes: Axes) -> str | None:
    block_q, pages, most = int(config["BLOCK_Q"]), int(config["PAGES"]), _all_queries(axes)
    columns = block_q * axes["h"]
    if block_q > most:
        return f"BLOCK_Q = {block_q} exceeds next_n = {axes['next_n']} or {MAX_COLUMNS} columns"
    if 2 * block_q < most:
        return f"BLOCK_Q = {block_q} reads every key {most // block_q} times as often as BLOCK_Q = {most}"
    if columns * pages * BLOCK_TOKENS > MAX_SCORES:
        return f"{columns} columns by {pages * BLOCK_TOKENS} keys exceed 128 accumulators a thread"
    return kv_tiles_reason(int(config["KV_TILES"]), _programs(axes, block_q))


def describe(config: Config) -> str:
    return f"fp8 wgmma, cache blocks by cp.async in {config['NUM_STAGES']} stages"


IMPLEMENTATION = tilelang_implementation(
    op="paged_indexer_logits",
    summary="TileLang for sm_90: fp8 wgmma of cache blocks with a sequence's queries, heads summed in registers",
    tunables=(
        Tunable("BLOCK_Q", (1, 2, 4, 8, 16, 32), "queries of a sequence scored against each block", recompiles=True),
        Tunable("PAGES", (1, 2), "cache blocks a product", recompiles=True),
        KV_TILES,
        Tunable("NUM_STAGES", (2, 4, 6), "steps' cache blocks in shared memory at a time", recompiles=True),
    ),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
    describe=describe,
)
