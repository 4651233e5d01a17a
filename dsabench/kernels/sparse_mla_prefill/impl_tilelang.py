"""Sparse MLA prefill in TileLang for Hopper: its tunables, which of them can run, and its launch; `tilelang_program.py` tells how.

Contract: REFERENCE §2, `sparse MLA, prefill`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dsabench.kernels.cuda.source import Products
from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.kv_cache import D_QK, LATENT, ROPE
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.tilelang.alignment import aligned
from dsabench.kernels.tilelang.implementation import tilelang_implementation
from dsabench.kernels.tilelang.launch import TileLangLaunch, TileLangSource

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_prefill.contract import Inputs

PROGRAM = Path(__file__).with_name("tilelang_program.py")
SPECIALIZED = TileLangSource(PROGRAM, "specialized")
UNIFORM = TileLangSource(PROGRAM, "uniform")
PASS_CONFIGS = {"tl.disable_thread_storage_sync": True, "tl.disable_safe_memory_legalize": True}
"""The specialized form has the barriers and the bounds it needs; TileLang would add three barriers a tile to the warpgroup that
computes scores, and a check to every load."""
BOUNDS_ONLY = {"tl.disable_safe_memory_legalize": True}
"""The uniform form reduces rows across warpgroups, and TileLang knows where that needs barriers."""
BLOCK_H = 64
"""rows of wgmma: fewer heads are padded"""
WARPS_IN_GROUP = 4

FORM = Tunable(
    "FORM",
    ("specialized", "uniform"),
    "specialized: a warpgroup gathers, one computes scores, two the output; uniform: two warpgroups do all, a tile ahead",
    recompiles=True,
)
BLOCK_N = Tunable("BLOCK_N", (32, 64), "keys per tile", recompiles=True)
NUM_STAGES = Tunable("NUM_STAGES", (1, 2, 3, 4), "tiles of keys in shared memory", recompiles=True)


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """Two tiles of 64 keys. A tile has 2176 cycles of wgmma and 73.7 KB to gather, which at 30 bytes a cycle and SM from L2 take 2460:
    fewer heads than 64 leave the gather as it is, so that their padding costs little."""
    return {"FORM": "specialized", "BLOCK_N": 64, "NUM_STAGES": 2}


def constraint(config: Config, axes: Axes) -> str | None:
    form, block_n, stages = str(config["FORM"]), int(config["BLOCK_N"]), int(config["NUM_STAGES"])
    if block_n == 64 and stages > 2:
        return f"{stages} tiles of 64 keys do not fit in shared memory beside the queries"
    if form == "uniform" and stages == 1:
        return "with one tile the uniform form would gather nothing ahead"
    if block_n == 32 and stages == 1:
        return "tiles of 32 keys are for gathering ahead"
    return None


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[TileLangLaunch]:
    """One launch into outputs = (out bf16 [s_q, h_q, 512], lse f32 [s_q, h_q]). `config` is a full config."""
    s_q, h_q, _ = inputs.q.shape
    s_kv, topk = inputs.kv.shape[0], inputs.indices.shape[2]
    block_n, stages, specialized = int(config["BLOCK_N"]), int(config["NUM_STAGES"]), config["FORM"] == "specialized"
    sink, length = inputs.attn_sink, inputs.topk_length
    arguments = {
        "q": inputs.q,
        "kv": inputs.kv.view(s_kv, D_QK),
        "indices": aligned(inputs.indices.view(s_q, topk)),
        "topk_length": None if length is None else aligned(length),
        "attn_sink": None if sink is None else aligned(sink),
        "out": outputs[0][None],
        "lse": outputs[1][None],
        "scale": np.float32(inputs.sm_scale * math.log2(math.e)),
        "s_q": np.int32(s_q),
        "s_kv": np.int32(s_kv),
        "topk": np.int32(topk),
    }
    constants = {
        "HEADS": h_q,
        "BLOCK_N": block_n,
        "NUM_STAGES": stages,
        "HAS_SINK": sink is not None,
        "HAS_LENGTH": length is not None,
        "LATENT": LATENT,
        "ROPE": ROPE,
    }
    return [
        TileLangLaunch(
            SPECIALIZED if specialized else UNIFORM,
            (s_q * -(-h_q // BLOCK_H),),
            arguments,
            constants,
            products=products_of(block_n, specialized),
            stages=stages,
            pass_configs=PASS_CONFIGS if specialized else BOUNDS_ONLY,
        )
    ]


def products_of(block_n: int, specialized: bool) -> Products:
    """Of a tile: QKᵀ and PV. The specialized form's main loop is that of the warpgroup with the scores, which has half of PV."""
    flops = 2 * BLOCK_H * block_n * (D_QK + LATENT)
    if not specialized:
        return Products(flops, warps=2 * WARPS_IN_GROUP, rows=BLOCK_H)
    return Products(
        2 * BLOCK_H * block_n * (D_QK + LATENT // 2),
        warps=WARPS_IN_GROUP,
        tile_flops=flops,
        producers=WARPS_IN_GROUP,
        rows=BLOCK_H,
    )


def describe(config: Config) -> str:
    return f"TileLang, {config['FORM']} warps, bf16 wgmma Q·Kᵀ, P·V, rows by cp.async"


IMPLEMENTATION = tilelang_implementation(
    op="sparse_mla_prefill",
    summary="rows gathered once into a ring in shared memory for both products, online softmax, a block per query and 64 heads",
    tunables=(FORM, BLOCK_N, NUM_STAGES),
    default_config=default_config,
    constraint=constraint,
    plan=plan,
    describe=describe,
)
