"""Sparse MLA decode on an NVIDIA GPU in Triton, over the 656-byte fp8 cache.

Contract: REFERENCE §2, `sparse MLA, decode`; layout and algorithm: triton_kernels.sparse_mla_decode.
"""

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
    from dsabench.kernels.sparse_mla_decode.contract import Inputs

_SPLITS = (1, 2, 4, 8, 16, 32)
_WARPS = 8  # 4 warps cannot hold 64 heads, nor a tile of keys as the left operand, without spilling
_SMS = 132  # H100, H200 and H800 in SXM form; registers let one program run on each

SWAP = Tunable("SWAP", (False, True), "products with keys, not heads, as the left operand's rows", recompiles=True)
BLOCK_H = Tunable("BLOCK_H", (16, 64), "query heads per program", recompiles=True)
BLOCK_KV = Tunable("BLOCK_KV", (32, 64), "keys per tile", recompiles=True)
NUM_STAGES = Tunable(
    "NUM_STAGES", (2, 3, 5), "2: a tile ahead; 3: and its indices before it; 5: two tiles ahead", recompiles=True
)
NUM_SPLITS = Tunable("NUM_SPLITS", _SPLITS, "programs that share the keys of a query; above 1 their results are merged")


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """Blocks of 64 heads and S = Q·Kᵀ at every h_q: with few heads rows of wgmma are wasted, but dequantizing bounds the tile,
    and only as the right operand does it leave registers for gathering ahead (with SWAP the codes are not prefetched)."""
    block_h, block_kv = 64, 64
    programs = axes["b"] * axes["s_q"] * -(-axes["h_q"] // block_h)
    return {
        "SWAP": False,
        "BLOCK_H": block_h,
        "BLOCK_KV": block_kv,
        "NUM_STAGES": 3,
        "NUM_SPLITS": _default_splits(programs, -(-axes["topk"] // block_kv)),
    }


def _default_splits(programs: int, tiles: int) -> int:
    """The least waves · tiles per wave, where reading Q and writing the result count as two tiles; of equals the fewest splits."""

    def time(splits: int) -> int:
        return -(-programs * splits // _SMS) * (-(-tiles // splits) + 2)

    return min((s for s in _SPLITS if s <= tiles), key=time)


def constraint(config: Config, axes: Axes) -> str | None:
    """Why a config is not worth compiling; register counts and spills are those of ptxas for sm_90a."""
    swap, block_h, block_kv = bool(config["SWAP"]), int(config["BLOCK_H"]), int(config["BLOCK_KV"])
    splits, tiles = int(config["NUM_SPLITS"]), -(-axes["topk"] // block_kv)
    if swap != (block_h == 16):
        if swap:
            return "a tile of keys as the left operand lives in registers: beside 64 heads it spills 456 bytes a thread"
        return "wgmma takes 64 rows of its left operand: fewer heads need SWAP"
    if swap and block_kv != 64:
        return "wgmma takes 64 rows of its left operand: SWAP needs 64 keys"
    if swap and axes["h_q"] > 16:
        return f"{axes['h_q']} heads in blocks of 16 would dequantize every tile {-(-axes['h_q'] // 16)} times"
    if config["NUM_STAGES"] == 5 and (swap or block_kv == 64):
        return "SWAP gathers no codes ahead" if swap else "two tiles of 64 keys ahead do not fit in shared memory"
    if splits > tiles:
        return f"{splits} splits have only {tiles} tiles of {block_kv} keys to share"
    return None


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[Launch]:
    """The launches into outputs = (out bf16 [b, s_q, h_q, 512], lse f32 [b, s_q, h_q]). `config` is a full config."""
    from dsabench.kernels.sparse_mla_decode.triton_kernels import sparse_mla_decode
    from dsabench.kernels.triton.compute_type import COMPUTE

    b, s_q, h_q, _ = inputs.q.shape
    queries = b * s_q
    block_h, splits = int(config["BLOCK_H"]), int(config["NUM_SPLITS"])
    out, lse = outputs
    if splits > 1:
        out, lse = empty_partials(splits, out)
    attend = Launch(
        kernel=sparse_mla_decode,
        grid=(queries * -(-h_q // block_h), splits),
        arguments={
            "q_ptr": inputs.q,
            "codes_ptr": inputs.kv_cache.view(torch.float8_e4m3fn),
            "scales_ptr": inputs.kv_cache.view(torch.float32),
            "rope_ptr": inputs.kv_cache.view(torch.bfloat16),
            "indices_ptr": inputs.indices,
            "topk_length_ptr": inputs.topk_length,
            "sink_ptr": inputs.attn_sink if splits == 1 else None,
            "out_ptr": out,
            "lse_ptr": lse,
            "scale": inputs.sm_scale * math.log2(math.e),
            "queries": queries,
            "topk": inputs.indices.shape[2],
            "slots": inputs.kv_cache.shape[0] * inputs.kv_cache.shape[1],
            "HEADS": h_q,
            "BLOCK_H": block_h,
            "BLOCK_KV": int(config["BLOCK_KV"]),
            "SWAP": bool(config["SWAP"]),
            "PARTIAL": splits > 1,
            "CT": COMPUTE,
        },
        num_warps=_WARPS,
        num_stages=int(config["NUM_STAGES"]),
    )
    return [attend] if splits == 1 else [attend, merge_launch(out, lse, outputs[0], outputs[1], inputs.attn_sink)]


def describe(config: Config) -> str:
    return "Triton, fp8 to bf16 in registers, bf16 wgmma " + ("K·Qᵀ, Vᵀ·Pᵀ" if config["SWAP"] else "Q·Kᵀ, P·V")


IMPLEMENTATION = triton_implementation(
    op="sparse_mla_decode",
    summary="fp8 rows dequantized once in registers for both products, online softmax, split keys and a merge",
    tunables=(SWAP, BLOCK_H, BLOCK_KV, NUM_STAGES, NUM_SPLITS),
    default_config=default_config,
    constraint=constraint,
    describe=describe,
    plan=plan,
)
