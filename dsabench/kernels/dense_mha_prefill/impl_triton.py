"""Dense MHA prefill as Triton kernels for Hopper: tunables, which of them can run, and how a call is cut into programs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.triton.implementation import triton_implementation
from dsabench.kernels.triton.launch import Launch
from dsabench.kernels.triton.merge import empty_partials, merge_launch

if TYPE_CHECKING:
    from dsabench.kernels.dense_mha_prefill.contract import Inputs

SMS = 132
"""streaming multiprocessors of H100 SXM, H200 and H800: defaults are stated for these"""

SHARED_LIMIT = 232448
"""bytes of shared memory that one program may have on sm_90"""

SMALLEST_SCALE = 2.0**-126
"""Stands for a scale of 0: every score's weight is still 1 to the last bit, and a masked score of -inf stays one (0 · -inf
would be NaN)."""


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[Launch]:
    """One launch of query tiles × heads × splits of the keys; with more than one split a second that merges them."""
    from triton.tools.tensor_descriptor import TensorDescriptor

    from dsabench.kernels.dense_mha_prefill.triton_kernels import prefill
    from dsabench.kernels.triton.compute_type import COMPUTE

    s_q, heads, _ = inputs.q.shape
    s_kv = inputs.k.shape[0]
    block_q, block_kv, splits = int(config["BLOCK_Q"]), int(config["BLOCK_KV"]), int(config["NUM_SPLITS"])
    out, lse = outputs
    if splits > 1:
        out, lse = empty_partials(splits, out)
    keys = _aligned(inputs.k).view(s_kv, heads * 192)
    values = _aligned(inputs.v).view(s_kv, heads * 128)
    arguments = {
        "q_ptr": inputs.q,
        "k_main": TensorDescriptor.from_tensor(keys, [block_kv, 128]),
        "k_rope": TensorDescriptor.from_tensor(keys, [block_kv, 64]),
        "values": TensorDescriptor.from_tensor(values, [block_kv, 128]),
        "out_ptr": out,
        "lse_ptr": lse,
        "s_q": s_q,
        "s_kv": s_kv,
        "heads": heads,
        "splits": splits,
        "scale": max(abs(inputs.sm_scale) * math.log2(math.e), SMALLEST_SCALE),
        "CAUSAL": inputs.causal,
        "NEGATIVE": inputs.sm_scale < 0,
        "PARTIAL": splits > 1,
        "BLOCK_Q": block_q,
        "BLOCK_KV": block_kv,
        "CT": COMPUTE,
    }
    grid = (-(-s_q // block_q) * heads, splits)
    launches = [Launch(prefill, grid, arguments, num_warps(block_q), int(config["NUM_STAGES"]))]
    if splits > 1:
        launches.append(merge_launch(out, lse, *outputs))
    return launches


def _aligned(tensor: torch.Tensor) -> torch.Tensor:
    """TMA reads from addresses that are multiples of 16; only a view into the middle of another tensor has another."""
    return tensor if tensor.data_ptr() % 16 == 0 else tensor.clone()


def num_warps(block_q: int) -> int:
    """64 rows, wgmma's M, per warpgroup: two for 64 rows would compute the same scores, one for 128 spills."""
    return block_q // 16


def shared_bytes(config: Config) -> int:
    """Queries, and keys and values once per stage."""
    return int(config["BLOCK_Q"]) * 384 + int(config["NUM_STAGES"]) * int(config["BLOCK_KV"]) * (384 + 256)


def programs(block_q: int, axes: Axes) -> int:
    """Programs per split."""
    return -(-axes["s_q"] // block_q) * axes["h_q"]


def constraint(config: Config, axes: Axes) -> str | None:
    block_q, splits = int(config["BLOCK_Q"]), int(config["NUM_SPLITS"])
    if block_q == 128 and axes["s_q"] <= 64:
        return f"half of the 128 query rows or more would be padding at s_q = {axes['s_q']}"
    needed = shared_bytes(config)
    if needed > SHARED_LIMIT:
        return f"needs {needed} bytes of shared memory of {SHARED_LIMIT}"
    if splits > 1:
        key_tiles = -(-axes["s_kv"] // int(config["BLOCK_KV"]))
        if splits > key_tiles:
            return f"more splits than the {key_tiles} key tiles"
        fewer = programs(block_q, axes) * (splits // 2)
        if fewer >= 2 * SMS:
            return f"half as many splits give {fewer} programs already, two for each of {SMS} SMs"
    return None


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """128 × 128 where there are the queries for it: wgmma reads 6 KB of shared memory per 64 cycles of products, within the 128
    bytes a cycle that an SM has; 64 keys a step (4 KB per 32 cycles) take all of them and leave none for the loads."""
    block_q, block_kv = (128, 128) if axes["s_q"] > 64 else (64, 64)
    per_sm = 1 if block_q == 128 else 2
    key_tiles = -(-axes["s_kv"] // block_kv)

    def steps(splits: int) -> int:
        """On the busiest SM; fetching queries and filling the pipeline counts as 3, merging as 2 (not calibrated)."""
        waves = -(-programs(block_q, axes) * splits // (SMS * per_sm))
        return waves * (-(-key_tiles // splits) + 3) + (2 if splits > 1 else 0)

    tile = {"BLOCK_Q": block_q, "BLOCK_KV": block_kv, "NUM_STAGES": 2}
    possible = [c for c in SPLITS.choices if constraint({**tile, "NUM_SPLITS": c}, axes) is None]
    return {**tile, "NUM_SPLITS": min((int(c) for c in possible), key=steps)}


SPLITS = Tunable("NUM_SPLITS", (1, 2, 4, 8, 16, 32), "parts of the keys, merged by a second launch")

IMPLEMENTATION = triton_implementation(
    op="dense_mha_prefill",
    summary="flash attention on wgmma: keys by TMA, masked only on the diagonal, split keys for few queries",
    tunables=(
        Tunable("BLOCK_Q", (64, 128), "queries of one head a program; one warpgroup for each 64", recompiles=True),
        Tunable("BLOCK_KV", (64, 128), "keys a step", recompiles=True),
        Tunable("NUM_STAGES", (2, 3), "steps whose keys are in shared memory at a time", recompiles=True),
        SPLITS,
    ),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
    describe=lambda config: f"wgmma bf16, {num_warps(int(config['BLOCK_Q'])) // 4} warpgroups, TMA",
)
