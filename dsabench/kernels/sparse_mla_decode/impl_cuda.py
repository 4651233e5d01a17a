"""Sparse MLA decode on a Hopper GPU in CUDA C++, over the 656-byte fp8 cache.

Contract: REFERENCE §2, `sparse MLA, decode`. How: sparse_mla_decode.cu; why so: the cycle budget in docs/cuda-decode.md.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cuda.implementation import cuda_implementation
from dsabench.kernels.cuda.source import CudaLaunch, CudaSource, Products
from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.kv_cache import GROUP, LATENT, ROPE, ROPE_OFFSET, SCALE_OFFSET, TOKEN_BYTES
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_decode.contract import Inputs

ATTEND = CudaSource(Path(__file__).with_name("sparse_mla_decode.cu"), "attend_split")
MERGE = CudaSource(Path(__file__).with_name("merge_splits.cu"), "merge_splits")
SMS = 132
"""of an H100, H200 and H800 SXM; a block takes a whole one"""
BLOCK_H = 64
BLOCK_KV = 64
STAGES = 2
THREADS = 384
"""Two warpgroups of consumers and one of producers."""
SHARED_BYTES = (
    2 * BLOCK_KV * (LATENT + ROPE) * (STAGES + 1) + 2 * BLOCK_H * BLOCK_KV + 4 * (BLOCK_KV * STAGES + BLOCK_H) + 8 * 6
)
"""Tiles and Q, weights, biases and factors, barriers: `Shared` of decode_layout.cuh."""
REGISTERS = {0: (208, 160, 136), 2: (240, 160, 104)}
"""By Q_PANELS: of a thread of the first warpgroup, the second and the producers. 168 each to begin with, and so 504 in all. The least
of the first without spills or serialized wgmma."""

_SPLITS = (1, 2, 4, 8, 16, 32)

NUM_SPLITS = Tunable(
    "NUM_SPLITS", _SPLITS, "blocks that share the entries of a query; above 1 their results are merged"
)
CLUSTER = Tunable(
    "CLUSTER", (1, 2), "blocks, of 64 heads each, that share the dequantization of a query", recompiles=True
)
GATHERS = Tunable("GATHERS", (2, 4), "tokens of a producer lane on their way, 96 bytes of each", recompiles=True)
Q_PANELS = Tunable("Q_PANELS", (0, 2), "ninths of Q held in registers, not read from shared memory", recompiles=True)


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """Two blocks share the dequantization where there are two: a token is then read once from L2, not twice."""
    blocks = -(-axes["h_q"] // BLOCK_H)
    return {
        "NUM_SPLITS": _default_splits(axes["b"] * axes["s_q"] * blocks, -(-axes["topk"] // BLOCK_KV)),
        "CLUSTER": blocks,
        "GATHERS": 2,
        "Q_PANELS": 2,
    }


def _default_splits(blocks: int, tiles: int) -> int:
    """The least waves · tiles per wave, where reading Q and writing the result count as two tiles; of equals the fewest splits."""

    def time(splits: int) -> int:
        return -(-blocks * splits // SMS) * (-(-tiles // splits) + 2)

    return min((s for s in _SPLITS if s <= tiles), key=time)


def constraint(config: Config, axes: Axes) -> str | None:
    splits, tiles = int(config["NUM_SPLITS"]), -(-axes["topk"] // BLOCK_KV)
    if splits > tiles:
        return f"{splits} splits have only {tiles} tiles of {BLOCK_KV} keys to share"
    if config["CLUSTER"] == 2 and axes["h_q"] <= BLOCK_H:
        return f"{axes['h_q']} heads are one block: no second to share the dequantization with"
    if config["CLUSTER"] == 2 and config["GATHERS"] == 4:
        return "of half a tile's tokens a lane has two"
    if config["Q_PANELS"] and config["GATHERS"] == 4:
        return f"{REGISTERS[2][2]} registers of a producer do not hold four tokens"
    return None


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[CudaLaunch]:
    """The launches into outputs = (out bf16 [b, s_q, h_q, 512], lse f32 [b, s_q, h_q]). `config` is a full config."""
    b, s_q, h_q, _ = inputs.q.shape
    queries, blocks = b * s_q, -(-h_q // BLOCK_H)
    splits, cluster, q_panels = (int(config[name]) for name in ("NUM_SPLITS", "CLUSTER", "Q_PANELS"))
    first, second, producer = REGISTERS[q_panels]
    out, lse = outputs
    if splits > 1:
        out = torch.empty((splits, queries * h_q, LATENT), dtype=torch.float32, device=out.device)
        lse = torch.empty((splits, queries * h_q), dtype=torch.float32, device=out.device)
    slots = inputs.kv_cache.shape[0] * inputs.kv_cache.shape[1]
    attend = CudaLaunch(
        ATTEND,
        grid=(queries * blocks, splits),
        block=(THREADS,),
        arguments=(
            inputs.q,
            inputs.kv_cache,
            inputs.indices,
            inputs.topk_length,
            inputs.attn_sink if splits == 1 else None,
            out,
            lse,
            np.float32(inputs.sm_scale * math.log2(math.e)),
            np.int32(h_q),
            np.int32(inputs.indices.shape[2]),
            np.uint32(min(slots, 1 << 31)),  # no index is higher
        ),
        constants={
            "LATENT": LATENT,
            "ROPE": ROPE,
            "GROUP": GROUP,
            "SCALE_OFFSET": SCALE_OFFSET,
            "ROPE_OFFSET": ROPE_OFFSET,
            "TOKEN_BYTES": TOKEN_BYTES,
            "SHARED_BYTES": SHARED_BYTES,
            "FIRST_REGISTERS": first,
            "SECOND_REGISTERS": second,
            "PRODUCER_REGISTERS": producer,
            "GATHERS": int(config["GATHERS"]),
            "Q_PANELS": q_panels,
            "PARTIAL": splits > 1,
        },
        cluster=cluster if cluster > 1 else None,
        shared_bytes=SHARED_BYTES,
        # The first warpgroup's loop: the scores of a tile, and half of its values.
        products=Products(
            2 * BLOCK_H * BLOCK_KV * (LATENT + ROPE + LATENT // 2),
            warps=4,
            tile_flops=2 * BLOCK_H * BLOCK_KV * (LATENT + ROPE + LATENT),
            producers=4,
            rows=BLOCK_H * cluster,
        ),
        stages=STAGES,
    )
    return [attend] if splits == 1 else [attend, _merge(out, lse, outputs, inputs.attn_sink, h_q)]


def _merge(
    partial_out: torch.Tensor, partial_lse: torch.Tensor, outputs: Outputs, sink: torch.Tensor | None, heads: int
) -> CudaLaunch:
    splits, rows = partial_lse.shape
    return CudaLaunch(
        MERGE,
        grid=(rows,),
        block=(LATENT // 4,),
        arguments=(
            partial_out, partial_lse, sink, outputs[0], outputs[1], np.int32(splits), np.int32(rows), np.int32(heads),
        ),
        constants={"LATENT": LATENT},
    )  # fmt: skip


def describe(config: Config) -> str:
    shared = "dequantized by two blocks for each other" if config["CLUSTER"] == 2 else "dequantized by each block"
    return f"CUDA C++, fp8 to bf16 by shifts, {shared}; bf16 wgmma Q·Kᵀ, P·V"


IMPLEMENTATION = cuda_implementation(
    op="sparse_mla_decode",
    summary="producer warps dequantize tiles once for both products, two consumer warpgroups, split keys and a merge",
    tunables=(NUM_SPLITS, CLUSTER, GATHERS, Q_PANELS),
    default_config=default_config,
    constraint=constraint,
    describe=describe,
    plan=plan,
)
