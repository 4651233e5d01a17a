"""Indexer logits as a Triton kernel for Hopper: its tunables, which of them can run, and how a call is cut into programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.triton.implementation import triton_implementation
from dsabench.kernels.triton.launch import Launch

if TYPE_CHECKING:
    from dsabench.kernels.indexer_logits.contract import Inputs

SMS = 132
"""streaming multiprocessors of H100 SXM, H200 and H800; a default is stated for these, also where no GPU is"""

MIN_COLUMNS = 16
"""queries × heads of the narrowest product that Triton gives to wgmma; 8 columns compile to HMMA"""

KV_TILES = Tunable("KV_TILES", (4, 16, 64), "key tiles a program streams past its queries")


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[Launch]:
    """One launch: query tiles × runs of keys.

    Query tiles are the fast dimension: the programs at work at any time share one run of keys (512 KB at 64 tiles of 64), which
    HBM gives once and L2 to all of them, while the queries they hold change. It also starts the runs that every causal query
    sees first and those that few see, mostly -inf to write, last: the tail of the launch is short.
    """
    from dsabench.kernels.indexer_logits.triton_kernels import indexer_logits_kernel
    from dsabench.kernels.triton.compute_type import COMPUTE

    s_q, h, dim = inputs.q.shape
    s_kv = inputs.k.shape[0]
    block_q, block_kv, k_load = int(config["BLOCK_Q"]), int(config["BLOCK_KV"]), str(config["K_LOAD"])
    run_keys = block_kv * int(config["KV_TILES"])
    keys: object = inputs.k
    if k_load == "tma":
        from triton.tools.tensor_descriptor import TensorDescriptor

        keys = TensorDescriptor.from_tensor(inputs.k, [block_kv, dim])
    arguments = {
        "q_ptr": inputs.q,
        "keys": keys,
        "k_scale_ptr": inputs.k_scale,
        "weights_ptr": inputs.weights,
        "ks_ptr": inputs.ks,
        "ke_ptr": inputs.ke,
        "out_ptr": outputs[0],
        "s_q": s_q,
        "s_kv": s_kv,
        "run_keys": run_keys,
        "H": h,
        "BLOCK_Q": block_q,
        "BLOCK_KV": block_kv,
        "K_LOAD": k_load,
        "CT": COMPUTE,
    }
    grid = (-(-s_q // block_q), -(-s_kv // run_keys))
    warps = num_warps(block_q * h, block_kv)
    return [Launch(indexer_logits_kernel, grid, arguments, warps, int(config["NUM_STAGES"]))]


def num_warps(columns: int, block_kv: int) -> int:
    """One warpgroup where 128 accumulators a thread hold the product's tile, two for twice as many."""
    return 4 if columns * block_kv <= 128 * 128 else 8


def largest_tile(queries: int, h: int) -> int:
    """Queries of the smallest tile that holds `queries` and fills MIN_COLUMNS: a larger one would only score more padding."""
    return max(MIN_COLUMNS // h, 1 << (queries - 1).bit_length())


def kv_tiles_reason(kv_tiles: int, programs: Callable[[int], int]) -> str | None:
    """Why KV_TILES = kv_tiles cuts the keys too coarsely or too finely; None when it does not. programs(kv_tiles): programs
    of the launch. One or two choices are left at any shape."""
    choices = [int(choice) for choice in KV_TILES.choices]
    if kv_tiles > choices[0] and programs(kv_tiles) < SMS:
        return f"KV_TILES = {kv_tiles} makes {programs(kv_tiles)} programs, fewer than {SMS} SMs"
    coarser = [choice for choice in choices if choice > kv_tiles]
    if coarser and programs(coarser[0]) >= 4 * SMS:
        return f"KV_TILES = {coarser[0]} makes {programs(coarser[0])} programs already, four an SM"
    return None


def default_kv_tiles(programs: Callable[[int], int], resident: int) -> int:
    """The choice that leaves the busiest SM the fewest tiles, with `resident` programs an SM at a time; what a program takes
    to fetch its queries and fill the pipeline counts as four tiles."""
    legal = [int(c) for c in KV_TILES.choices if kv_tiles_reason(int(c), programs) is None]
    return min(legal, key=lambda tiles: -(-programs(tiles) // (SMS * resident)) * (tiles + 4))


def _programs(axes: Axes, block_q: int, block_kv: int) -> Callable[[int], int]:
    return lambda kv_tiles: -(-axes["s_q"] // block_q) * -(-axes["s_kv"] // (block_kv * kv_tiles))


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """256 columns a product (four queries of 64 heads) by 64 keys.

    Compiled for sm_90a at 64 heads: 233 registers, no spills, no shuffles in the loop, two programs an SM: while one applies
    relu and weights (386 instructions a warp and tile, 256 of them on scores) the other's product runs (512 cycles at the
    tensor cores' peak). 128 columns take 257 instructions for half of the scores, so four such programs an SM would issue
    as long as the tensor cores compute, and read every key twice as often from L2. TMA saves 18 of the instructions, but
    encodes a descriptor at every call and takes only keys aligned to 16 bytes: a choice for the tuner.
    """
    h = axes["h"]
    block_q = min(largest_tile(axes["s_q"], h), 256 // h)
    resident = 2 if block_q * h == 256 else 4
    kv_tiles = default_kv_tiles(_programs(axes, block_q, 64), resident)
    return {"BLOCK_Q": block_q, "BLOCK_KV": 64, "KV_TILES": kv_tiles, "K_LOAD": "cp.async", "NUM_STAGES": 4}


def constraint(config: Config, axes: Axes) -> str | None:
    block_q, block_kv, h = int(config["BLOCK_Q"]), int(config["BLOCK_KV"]), axes["h"]
    columns, most = block_q * h, largest_tile(axes["s_q"], h)
    if columns < MIN_COLUMNS:
        return f"{columns} columns would fall back to mma.sync: wgmma is used from {MIN_COLUMNS} on"
    if block_q > most:
        return f"BLOCK_Q = {block_q} is more than the {axes['s_q']} queries need"
    if columns < 128 and block_q < most:
        return f"{columns} columns read more shared memory than they compute: take BLOCK_Q = {128 // h}"
    if columns * block_kv > 256 * 128:
        return f"{columns} columns by {block_kv} keys exceed 128 accumulators in each of 256 threads"
    return kv_tiles_reason(int(config["KV_TILES"]), _programs(axes, block_q, block_kv))


def describe(config: Config) -> str:
    how = "TMA" if config["K_LOAD"] == "tma" else "cp.async"
    return f"fp8 wgmma, keys by {how} in {config['NUM_STAGES']} stages"


IMPLEMENTATION = triton_implementation(
    op="indexer_logits",
    summary="Triton for sm_90: fp8 wgmma of a key tile with several queries, heads summed in registers",
    tunables=(
        Tunable("BLOCK_Q", (1, 2, 4, 8, 16, 32, 64), "queries a program scores against each key tile", recompiles=True),
        Tunable("BLOCK_KV", (64, 128), "keys a tile", recompiles=True),
        KV_TILES,
        Tunable("K_LOAD", ("cp.async", "tma"), "how keys reach shared memory", recompiles=True),
        Tunable("NUM_STAGES", (2, 4), "key tiles in shared memory at a time", recompiles=True),
    ),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
    describe=describe,
)
