"""Sparse MLA prefill on an NVIDIA GPU in Triton.

Contract: REFERENCE §2, `sparse MLA, prefill`; layout and algorithm: triton_kernels.sparse_mla_prefill.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dsabench.kernels.implementation import Config, ConfigValue, Tunable
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.triton.implementation import triton_implementation
from dsabench.kernels.triton.launch import Launch

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_prefill.contract import Inputs

_BLOCKS_H = (16, 32, 64)

SWAP = Tunable("SWAP", (False, True), "products with keys, not heads, as the left operand's rows", recompiles=True)
BLOCK_H = Tunable("BLOCK_H", _BLOCKS_H, "query heads per program", recompiles=True)
BLOCK_KV = Tunable("BLOCK_KV", (32, 64, 128), "keys per tile", recompiles=True)
NUM_WARPS = Tunable("NUM_WARPS", (4, 8), "warps per program", recompiles=True)
NUM_STAGES = Tunable(
    "NUM_STAGES",
    (1, 2, 3, 5),
    "1: nothing ahead; 2: a tile ahead; 3: and its indices before it; 5: two tiles ahead",
    recompiles=True,
)


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    """Blocks of 64 heads, S = Q·Kᵀ; from 32 heads down the swapped products, whose work follows the number of heads."""
    few = axes["h_q"] <= 32
    return {
        "SWAP": few,
        "BLOCK_H": _fitting_block(axes["h_q"]),
        "BLOCK_KV": 64,
        "NUM_WARPS": 8,
        "NUM_STAGES": 3,
    }


def constraint(config: Config, axes: Axes) -> str | None:
    """Why a config is not worth compiling; register counts and spills are those of ptxas for sm_90a."""
    block_h, block_kv, warps, stages = (int(config[t.name]) for t in (BLOCK_H, BLOCK_KV, NUM_WARPS, NUM_STAGES))
    if block_h > _fitting_block(axes["h_q"]):
        return f"BLOCK_H = {block_h} is more than {axes['h_q']} heads fill"
    if not config["SWAP"] and block_h < 64:
        return "wgmma takes 64 rows of its left operand: fewer heads need SWAP"
    if config["SWAP"] and block_kv < 64:
        return "wgmma takes 64 rows of its left operand: SWAP needs 64 keys"
    if block_h == 64 and warps == 4:
        return "the accumulator alone takes 256 registers a thread: 4 warps spill a kilobyte"
    if block_h == 64 and block_kv == 128:
        return "128 keys beside 64 heads spill 264 bytes a thread in the loop"
    if block_h == 32 and (warps, stages) == (4, 1):
        return "tiles loaded through registers spill 280 bytes a thread at 4 warps"
    if block_kv == 128 and (warps, stages) != (8, 1):
        return "a tile of 128 keys takes 147 KB: there is room for one, and 4 warps cannot hold the row addresses"
    if block_kv == 64 and stages == 5:
        return "two tiles of 64 keys ahead do not fit in shared memory"
    if block_kv == 32 and stages == 1:
        return "tiles of 32 keys are for gathering ahead"
    return None


def _fitting_block(h_q: int) -> int:
    """The smallest block that holds all heads, else the largest."""
    return next((block for block in _BLOCKS_H if h_q <= block), _BLOCKS_H[-1])


def plan(inputs: Inputs, outputs: Outputs, config: Config) -> list[Launch]:
    """One launch into outputs = (out bf16 [s_q, h_q, 512], lse f32 [s_q, h_q]). `config` is a full config."""
    from dsabench.kernels.sparse_mla_prefill.triton_kernels import sparse_mla_prefill
    from dsabench.kernels.triton.compute_type import COMPUTE

    s_q, h_q, _ = inputs.q.shape
    block_h = int(config["BLOCK_H"])
    return [
        Launch(
            kernel=sparse_mla_prefill,
            grid=(s_q * -(-h_q // block_h),),
            arguments={
                "q_ptr": inputs.q,
                "kv_ptr": inputs.kv,
                "indices_ptr": inputs.indices,
                "topk_length_ptr": inputs.topk_length,
                "sink_ptr": inputs.attn_sink,
                "out_ptr": outputs[0],
                "lse_ptr": outputs[1],
                "scale": inputs.sm_scale * math.log2(math.e),
                "topk": inputs.indices.shape[2],
                "s_kv": inputs.kv.shape[0],
                "HEADS": h_q,
                "BLOCK_H": block_h,
                "BLOCK_KV": int(config["BLOCK_KV"]),
                "SWAP": bool(config["SWAP"]),
                "CT": COMPUTE,
            },
            num_warps=int(config["NUM_WARPS"]),
            num_stages=int(config["NUM_STAGES"]),
        )
    ]


def describe(config: Config) -> str:
    return "Triton, bf16 wgmma " + ("K·Qᵀ, Vᵀ·Pᵀ" if config["SWAP"] else "Q·Kᵀ, P·V")


IMPLEMENTATION = triton_implementation(
    op="sparse_mla_prefill",
    summary="rows gathered once into shared memory for both products, online softmax, a program per query and head block",
    tunables=(SWAP, BLOCK_H, BLOCK_KV, NUM_WARPS, NUM_STAGES),
    default_config=default_config,
    constraint=constraint,
    describe=describe,
    plan=plan,
)
