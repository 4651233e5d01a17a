"""Indexer logits in TileLang for Hopper: its tunables, which of them can run, and how a call is cut into blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsabench.kernels.cuda.source import Argument, Products
from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.indexer_logits.impl_triton import KV_TILES, default_kv_tiles, kv_tiles_reason
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.tilelang.alignment import aligned
from dsabench.kernels.tilelang.implementation import tilelang_implementation
from dsabench.kernels.tilelang.launch import TileLangLaunch, TileLangSource

if TYPE_CHECKING:
    from dsabench.kernels.indexer_logits.contract import Inputs

SOURCE = TileLangSource(Path(__file__).with_name("tilelang_program.py"), "indexer_logits")
PASS_CONFIGS = {"tl.disable_thread_storage_sync": True, "tl.disable_safe_memory_legalize": True}
"""The program has the barriers and bounds it needs. TileLang's would be a second barrier a step, between the ring's tile that a
product reads and the one that a copy fills, and 20 instructions of 417 a step."""
MAX_OFFSET_ROWS = 1 << 20
"""rows up to which offsets of keys, scales and weights are 32-bit; the contract's MAX_CONTEXT"""
MAX_COLUMNS = 256
"""of a wgmma"""
MAX_SCORES = 64 * MAX_COLUMNS
"""of a step: 128 accumulators in each of 128 threads"""


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[TileLangLaunch]:
    """One launch: query tiles × runs of keys, query tiles the fast dimension, as in `impl_triton.plan` and for its reasons."""
    s_q, h, dim = inputs.q.shape
    s_kv = inputs.k.shape[0]
    block_q, block_kv, kv_tiles = int(config["BLOCK_Q"]), int(config["BLOCK_KV"]), int(config["KV_TILES"])
    arguments: dict[str, Argument] = {
        "q": aligned(inputs.q),
        "k": aligned(inputs.k),
        "k_scale": aligned(inputs.k_scale),
        "weights": aligned(inputs.weights),
        "ks": aligned(inputs.ks),
        "ke": aligned(inputs.ke),
        "out": outputs[0],
        "s_q": np.int32(s_q),
        "s_kv": np.int32(s_kv),
        "run_tiles": np.int32(kv_tiles),
    }
    stages = int(config["NUM_STAGES"])
    constants = {
        "HEADS": h,
        "DIM": dim,
        "BLOCK_Q": block_q,
        "BLOCK_KV": block_kv,
        "NUM_STAGES": stages,
        "MAX_CONTEXT": MAX_OFFSET_ROWS,
    }
    grid = (-(-s_q // block_q), -(-s_kv // (block_kv * kv_tiles)))
    products = products_of(block_kv, block_q * h, dim)
    return [TileLangLaunch(SOURCE, grid, arguments, constants, products, stages, PASS_CONFIGS)]


def products_of(keys: int, columns: int, dim: int) -> Products:
    """Of a step: one fp8 product, by one warpgroup."""
    flops = 2 * keys * columns * dim
    return Products(flops, warps=4, fp8_useful_flops=flops)


def smallest_tile(queries: int) -> int:
    """Queries of the smallest tile that holds `queries`: a larger one would only score more padding."""
    return 1 << (queries - 1).bit_length()


def _programs(axes: Axes, block_q: int, block_kv: int) -> Callable[[int], int]:
    return lambda kv_tiles: -(-axes["s_q"] // block_q) * -(-axes["s_kv"] // (block_kv * kv_tiles))


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """256 columns a product (four queries of 64 heads) by 64 keys.

    Compiled for sm_90a at 64 heads: 236 registers, no spills, no shuffles in the loop, two blocks an SM. Of the 397 instructions of a
    warp and tile 256 are relu and weights; all but 80 of the others issue while the product runs (512 cycles at the tensor cores'
    peak). 128 columns take 240 instructions for half of the scores, and read every key twice as often from L2.
    """
    h = axes["h"]
    block_q = min(smallest_tile(axes["s_q"]), MAX_COLUMNS // h)
    resident = 2 if block_q * h == MAX_COLUMNS else 4
    kv_tiles = default_kv_tiles(_programs(axes, block_q, 64), resident)
    return {"BLOCK_Q": block_q, "BLOCK_KV": 64, "KV_TILES": kv_tiles, "NUM_STAGES": 4}


def constraint(config: Config, axes: Axes) -> str | None:
    block_q, block_kv, h = int(config["BLOCK_Q"]), int(config["BLOCK_KV"]), axes["h"]
    columns, most = block_q * h, smallest_tile(axes["s_q"])
    if columns > MAX_COLUMNS:
        return f"{columns} columns: a wgmma has up to {MAX_COLUMNS}"
    if block_q > most:
        return f"BLOCK_Q = {block_q} is more than the {axes['s_q']} queries need"
    if columns < 128 and block_q < most:
        return f"{columns} columns read more shared memory than they compute: take BLOCK_Q = {min(128 // h, most)}"
    if columns * block_kv > MAX_SCORES:
        return f"{columns} columns by {block_kv} keys exceed 128 accumulators a thread"
    return kv_tiles_reason(int(config["KV_TILES"]), _programs(axes, block_q, block_kv))


def describe(config: Config) -> str:
    return f"fp8 wgmma, keys by cp.async in {config['NUM_STAGES']} stages"


IMPLEMENTATION = tilelang_implementation(
    op="indexer_logits",
    summary="TileLang for sm_90: fp8 wgmma of a key tile with several queries, heads summed in registers",
    tunables=(
        Tunable("BLOCK_Q", (1, 2, 4, 8, 16, 32), "queries a block scores against each key tile", recompiles=True),
        Tunable("BLOCK_KV", (64, 128), "keys a tile", recompiles=True),
        KV_TILES,
        Tunable("NUM_STAGES", (2, 4, 6), "key tiles in shared memory at a time", recompiles=True),
    ),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
    describe=describe,
)
