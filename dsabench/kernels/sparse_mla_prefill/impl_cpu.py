"""Sparse MLA prefill on the CPU over a bf16 latent KV.

Contract: REFERENCE §2, `sparse MLA, prefill`; layout and algorithm: kernels.cpu.sparse_attention. Each gathered row is
loaded once and used for QKᵀ and PV of all heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.sparse_attention import BLOCK_KV, SPLITS, default_splits, run_sparse
from dsabench.kernels.cpu.tiles import TILE, default_tile, tile_constraint
from dsabench.kernels.implementation import Config, ConfigValue, Implementation
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_prefill.contract import Inputs


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Computes into outputs = (out bf16 [s_q, h_q, 512], lse f32 [s_q, h_q]). `config` is a full config."""
    run_sparse(
        inputs.q.view(torch.uint32).numpy(),
        (inputs.kv.view(torch.uint32).numpy().reshape(-1),),
        inputs.kv.shape[0],
        inputs.indices.numpy().reshape(inputs.q.shape[0], -1),
        None if inputs.topk_length is None else inputs.topk_length.numpy(),
        inputs.sm_scale,
        np.empty(0, np.float32) if inputs.attn_sink is None else inputs.attn_sink.numpy(),
        outputs[0].view(torch.uint16).numpy(),
        outputs[1].numpy(),
        config,
    )


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {
        "MATH": products.default_math(),
        "BLOCK_KV": 120,
        "TILE": default_tile(axes["h_q"]),
        "SPLITS": default_splits(axes["s_q"]),
    }


IMPLEMENTATION = Implementation(
    op="sparse_mla_prefill",
    name="cpu",
    summary="numba vector kernels: rows gathered once for all heads, online softmax",
    device_types=("cpu",),
    tunables=(products.MATH, BLOCK_KV, TILE, SPLITS),
    default_config=default_config,
    run=run,
    constraint=lambda config, axes: tile_constraint(config, axes["h_q"]),
    unavailable=products.unavailable,
    describe=products.describe_products,
)
