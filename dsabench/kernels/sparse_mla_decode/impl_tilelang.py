"""Sparse MLA decode in TileLang for Hopper, over the 656-byte fp8 cache: its tunables, which of them can run, and its launches;
`tilelang_program.py` tells how.

Contract: REFERENCE §2, `sparse MLA, decode`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cuda.source import Products
from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.kv_cache import D_QK, GROUP, LATENT, ROPE, ROPE_OFFSET, SCALE_OFFSET, TOKEN_BYTES, flatten_pages
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.sparse_mla_decode import impl_triton
from dsabench.kernels.tilelang.alignment import aligned
from dsabench.kernels.tilelang.implementation import tilelang_implementation
from dsabench.kernels.tilelang.launch import TileLangLaunch, TileLangSource

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_decode.contract import Inputs

PROGRAM = Path(__file__).with_name("tilelang_program.py")
ATTEND = TileLangSource(PROGRAM, "attend")
MERGE = TileLangSource(PROGRAM, "merge")
PASS_CONFIGS = {"tl.disable_thread_storage_sync": True, "tl.disable_safe_memory_legalize": True}
"""The program has the barriers and the bounds it needs; TileLang would add three barriers a tile to the warpgroup that computes
scores, two a step to the one that dequantizes, and a check to every load."""
BLOCK_H = 64
"""rows of wgmma: fewer heads are padded, since dequantizing bounds the tile and takes the same for any number"""
WARPS_IN_GROUP = 4

BLOCK_N = Tunable("BLOCK_N", (32, 64), "keys per tile", recompiles=True)
NUM_STAGES = Tunable("NUM_STAGES", (2, 4), "dequantized tiles in shared memory", recompiles=True)
NUM_SPLITS = Tunable(
    "NUM_SPLITS",
    impl_triton.NUM_SPLITS.choices,
    "blocks that share the keys of a query; above 1 their results are merged",
)


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """Two tiles of 64 keys, and splits as of `impl_triton`: its programs have 64 heads, too, and an SM to themselves."""
    return {"BLOCK_N": 64, "NUM_STAGES": 2, "NUM_SPLITS": impl_triton.default_config(axes)["NUM_SPLITS"]}


def constraint(config: Config, axes: Axes) -> str | None:
    block_n, stages, splits = int(config["BLOCK_N"]), int(config["NUM_STAGES"]), int(config["NUM_SPLITS"])
    tiles = -(-axes["topk"] // block_n)
    if block_n == 64 and stages > 2:
        return f"{stages} tiles of 64 keys do not fit in shared memory beside the queries"
    if block_n == 32 and stages == 2:
        return "two tiles of 32 keys are no more ahead than one of 64, and dequantizing them spills 8 bytes a thread at 16 heads"
    if splits > tiles:
        return f"{splits} splits have only {tiles} tiles of {block_n} keys to share"
    return None


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[TileLangLaunch]:
    """The launches into outputs = (out bf16 [b, s_q, h_q, 512], lse f32 [b, s_q, h_q]). `config` is a full config."""
    b, s_q, h_q, _ = inputs.q.shape
    queries, topk = b * s_q, inputs.indices.shape[2]
    block_n, stages, splits = (int(config[name]) for name in ("BLOCK_N", "NUM_STAGES", "NUM_SPLITS"))
    sink = None if inputs.attn_sink is None else aligned(inputs.attn_sink)
    length = None if inputs.topk_length is None else aligned(inputs.topk_length.view(queries))
    cache = flatten_pages(inputs.kv_cache)
    partial = splits > 1
    if partial:
        out = torch.empty((splits, queries, h_q, LATENT), dtype=torch.float32, device=inputs.q.device)
        lse = torch.empty((splits, queries, h_q), dtype=torch.float32, device=inputs.q.device)
    else:
        out, lse = outputs[0].view(1, queries, h_q, LATENT), outputs[1].view(1, queries, h_q)
    attend = TileLangLaunch(
        ATTEND,
        (queries * -(-h_q // BLOCK_H), splits),
        {
            "q": inputs.q.view(queries, h_q, D_QK),
            "codes": cache.view(torch.float8_e4m3fn),
            "scales": cache.view(torch.float32),
            "rope": cache.view(torch.bfloat16),
            "indices": aligned(inputs.indices.view(queries, topk)),
            "topk_length": length,
            "attn_sink": None if partial else sink,
            "out": out,
            "lse": lse,
            "scale": np.float32(inputs.sm_scale * math.log2(math.e)),
            "queries": np.int32(queries),
            "slots": np.int32(cache.shape[0]),
            "topk": np.int32(topk),
            "splits": np.int32(splits),
        },
        {
            "HEADS": h_q,
            "BLOCK_N": block_n,
            "NUM_STAGES": stages,
            "PARTIAL": partial,
            "HAS_SINK": sink is not None and not partial,
            "HAS_LENGTH": length is not None,
            "LATENT": LATENT,
            "ROPE": ROPE,
            "GROUP": GROUP,
            "SCALE_OFFSET": SCALE_OFFSET,
            "ROPE_OFFSET": ROPE_OFFSET,
            "TOKEN_BYTES": TOKEN_BYTES,
        },
        # The main loop is that of the warpgroup with the scores, which has half of PV.
        products=Products(
            2 * BLOCK_H * block_n * (D_QK + LATENT // 2),
            warps=WARPS_IN_GROUP,
            tile_flops=2 * BLOCK_H * block_n * (D_QK + LATENT),
            producers=WARPS_IN_GROUP,
            rows=BLOCK_H,
        ),
        stages=stages,
        pass_configs=PASS_CONFIGS,
    )
    return [attend, _merge(out, lse, outputs, sink)] if partial else [attend]


def _merge(
    partial_out: torch.Tensor, partial_lse: torch.Tensor, outputs: Outputs, sink: torch.Tensor | None
) -> TileLangLaunch:
    splits, queries, h_q = partial_lse.shape
    rows = queries * h_q
    return TileLangLaunch(
        MERGE,
        (rows,),
        {
            "partial_out": partial_out.view(splits, rows, LATENT),
            "partial_lse": partial_lse.view(splits, rows),
            "attn_sink": sink,
            "out": outputs[0].view(rows, LATENT),
            "lse": outputs[1].view(rows),
            "splits": np.int32(splits),
            "rows": np.int32(rows),
        },
        {"HEADS": h_q, "HAS_SINK": sink is not None, "LATENT": LATENT},
        pass_configs=PASS_CONFIGS,
    )


def describe(config: Config) -> str:
    return "TileLang, fp8 to bf16 by a warpgroup of its own, bf16 wgmma Q·Kᵀ, P·V"


IMPLEMENTATION = tilelang_implementation(
    op="sparse_mla_decode",
    summary="a warpgroup dequantizes tiles once for both products, two compute, split keys and a merge",
    tunables=(BLOCK_N, NUM_STAGES, NUM_SPLITS),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
    describe=describe,
)
