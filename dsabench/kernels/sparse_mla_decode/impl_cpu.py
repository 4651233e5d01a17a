"""Sparse MLA decode on the CPU over the 656-byte fp8 cache.

Contract: REFERENCE §2, `sparse MLA, decode`; layout and algorithm: kernels.cpu.sparse_attention. Codes are decoded and
scaled to bf16 (or f32) while a block is gathered, once for all heads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.convert import e4m3_table
from dsabench.kernels.cpu.sparse_attention import (
    BLOCK_KV,
    SPLITS,
    TOKEN_BYTES,
    default_splits,
    run_sparse,
)
from dsabench.kernels.cpu.tiles import TILE, default_tile, tile_constraint
from dsabench.kernels.implementation import Config, ConfigValue, Implementation
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_decode.contract import Inputs


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Computes into outputs = (out bf16 [b, s_q, h_q, 512], lse f32 [b, s_q, h_q]). `config` is a full config."""
    b, s_q, heads, _ = inputs.q.shape
    # Views by NumPy: each torch call on the way in costs 5-10 µs when its code has left the caches.
    cache = inputs.kv_cache.numpy().reshape(-1)
    source = (cache, cache.view(np.float32), cache.view(np.uint32), e4m3_table(str(config["DEQUANT"])))
    run_sparse(
        inputs.q.view(torch.uint32).numpy().reshape(b * s_q, heads, -1),
        source,
        cache.size // TOKEN_BYTES,
        inputs.indices.numpy().reshape(b * s_q, -1),
        None if inputs.topk_length is None else inputs.topk_length.numpy().reshape(b * s_q),
        inputs.sm_scale,
        np.empty(0, np.float32) if inputs.attn_sink is None else inputs.attn_sink.numpy(),
        outputs[0].view(torch.uint16).numpy(),
        outputs[1].numpy(),
        config,
    )


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {
        "MATH": products.default_math(),
        "DEQUANT": products.default_dequant(),
        "BLOCK_KV": 120,
        "TILE": default_tile(axes["h_q"]),
        "SPLITS": default_splits(axes["b"] * axes["s_q"]),
    }


IMPLEMENTATION = Implementation(
    op="sparse_mla_decode",
    name="cpu",
    summary="numba vector kernels: fp8 rows dequantized while gathered, online softmax, split index lists",
    device_types=("cpu",),
    tunables=(products.MATH, products.DEQUANT, BLOCK_KV, TILE, SPLITS),
    default_config=default_config,
    run=run,
    constraint=lambda config, axes: tile_constraint(config, axes["h_q"]),
    unavailable=products.unavailable,
    describe=products.describe_products,
)
