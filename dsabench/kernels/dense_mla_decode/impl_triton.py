"""Dense MLA decode as Triton kernels for Hopper: tunables, which of them can run, and how a call is cut into programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.triton.implementation import triton_implementation
from dsabench.kernels.triton.launch import Launch
from dsabench.kernels.triton.merge import empty_partials, merge_launch

if TYPE_CHECKING:
    from dsabench.kernels.dense_mla_decode.contract import Inputs

SMS = 132
"""streaming multiprocessors of H100 SXM, H200 and H800: defaults are stated for these. Each holds one program of any config:
its keys alone take 147 KB of shared memory."""

BLOCK_KV = 64
"""Keys a step. 128 do not fit beside the queries with a second stage; with 32 ptxas serializes every wgmma of the unswapped
form (C7515), and the swapped form's products fall back to mma.sync below 64."""

NUM_STAGES = 2
"""Two tiles of 74 KB are in shared memory at a time; a third does not fit beside 16 rows (18 KB) any more."""


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[Launch]:
    """One launch of row tiles × splits × sequences; with more than one split a second that merges them."""
    from triton.tools.tensor_descriptor import TensorDescriptor

    from dsabench.kernels.dense_mla_decode.triton_kernels import decode
    from dsabench.kernels.triton.compute_type import COMPUTE

    b, s_q, heads, _ = inputs.q.shape
    rows = s_q * heads
    block_h, splits = int(config["BLOCK_H"]), int(config["NUM_SPLITS"])
    out, lse = outputs
    if splits > 1:
        out, lse = empty_partials(splits, out)
    page, swap = inputs.kv_cache.shape[1], bool(config["SWAP"])
    # TMA reads from addresses that are multiples of 16, as every tensor's is that is no view into the middle of another.
    tma = page % BLOCK_KV == 0 and inputs.kv_cache.data_ptr() % 16 == 0
    cache = inputs.kv_cache.view(-1, page, 576)
    arguments = {
        "q_ptr": inputs.q,
        "cache_ptr": None if tma else cache,
        "boxes": TensorDescriptor.from_tensor(cache, [1, BLOCK_KV, 256 if swap else 512]) if tma else None,
        "rope_boxes": TensorDescriptor.from_tensor(cache, [1, BLOCK_KV, 64]) if tma else None,
        "table_ptr": inputs.block_table,
        "lengths_ptr": inputs.cache_seqlens,
        "out_ptr": out,
        "lse_ptr": lse,
        "s_q": s_q,
        "rows": rows,
        "max_blocks": inputs.block_table.shape[1],
        "splits": splits,
        "scale": inputs.sm_scale * math.log2(math.e),
        "HEADS": heads,
        "PAGE": page,
        "CAUSAL": inputs.causal and s_q > 1,
        "PARTIAL": splits > 1,
        "SWAP": swap,
        "BLOCK_H": block_h,
        "BLOCK_KV": BLOCK_KV,
        "CT": COMPUTE,
    }
    grid = (b * splits * -(-rows // block_h),)
    launches = [Launch(decode, grid, arguments, int(config["NUM_WARPS"]), NUM_STAGES)]
    if splits > 1:
        launches.append(merge_launch(out, lse, *outputs))
    return launches


def programs(block_h: int, axes: Axes) -> int:
    """Programs per split."""
    return axes["b"] * -(-axes["s_q"] * axes["h_q"] // block_h)


def constraint(config: Config, axes: Axes) -> str | None:
    swap, block_h, warps = bool(config["SWAP"]), int(config["BLOCK_H"]), int(config["NUM_WARPS"])
    rows, splits = axes["s_q"] * axes["h_q"], int(config["NUM_SPLITS"])
    if not swap and block_h < 64:
        return f"wgmma has 64 rows: with BLOCK_H = {block_h} unswapped, products fall back to mma.sync"
    if block_h == 64 and warps == 4:
        return "one warpgroup does not hold the 64 × 512 sums: they spill"
    if block_h > 16 and rows <= block_h // 2:
        return f"half of the {block_h} rows or more would be padding: a sequence has {rows}"
    row_tiles = -(-rows // block_h)
    if block_h < 64 and row_tiles > 2:
        return f"every key would be read {row_tiles} times, where tiles of 64 rows share it"
    if splits > 1:
        key_tiles = -(-axes["s_kv"] // BLOCK_KV)
        if splits > key_tiles:
            return f"more splits than the {key_tiles} key tiles"
        fewer = programs(block_h, axes) * (splits // 2)
        if fewer >= 4 * SMS:
            return f"half as many splits give {fewer} programs already, four for each of {SMS} SMs"
    return None


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """From 33 rows on products decide (b 128, h 128, s_q 1, 32K keys: 1.17 TFLOP take 1.18 ms at 989 TFLOPS and 4.8 GB 1.44 ms
    at 3.35 TB/s; with s_q 2 2.36 ms and 1.44 ms): the unswapped form, whose P·V reads V once per 256 dims and P from
    registers. Below, bytes decide: the swapped form, without the padding that would cost shared memory and products."""
    rows = axes["s_q"] * axes["h_q"]
    swap, block_h, warps = (False, 64, 8) if rows > 32 else (True, 32, 8) if rows > 16 else (True, 16, 4)
    tile: dict[str, ConfigValue] = {"SWAP": swap, "BLOCK_H": block_h, "NUM_WARPS": warps}
    key_tiles = -(-axes["s_kv"] // BLOCK_KV)

    def steps(splits: int) -> int:
        """On the busiest SM; fetching queries and writing sums counts as 4, merging as 2 (not calibrated)."""
        waves = -(-programs(block_h, axes) * splits // SMS)
        return waves * (-(-key_tiles // splits) + 4) + (2 if splits > 1 else 0)

    possible = [c for c in SPLITS.choices if constraint({**tile, "NUM_SPLITS": c}, axes) is None]
    return {**tile, "NUM_SPLITS": min((int(c) for c in possible), key=steps)}


SPLITS = Tunable("NUM_SPLITS", (1, 2, 4, 8, 16, 32, 64, 128), "parts of each sequence, merged by a second launch")

IMPLEMENTATION = triton_implementation(
    op="dense_mla_decode",
    summary="absorbed MLA on wgmma: each paged key loaded once for all rows of a tile, split keys",
    tunables=(
        Tunable("SWAP", (False, True), "scores as keys × queries: for fewer rows than wgmma's 64", recompiles=True),
        Tunable("BLOCK_H", (16, 32, 64), "rows (query tokens × heads) of a sequence a program", recompiles=True),
        Tunable("NUM_WARPS", (4, 8), "warps a program; 4 to a warpgroup", recompiles=True),
        SPLITS,
    ),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
    describe=lambda config: (
        f"wgmma bf16, {int(config['NUM_WARPS']) // 4} warpgroups; TMA where a page holds whole tiles"
    ),
)
