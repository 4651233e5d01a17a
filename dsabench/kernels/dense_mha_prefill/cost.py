"""Cost of `dense_mha_prefill` (REFERENCE §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.op import Cost
from dsabench.kernels.visible_keys import visible_keys

if TYPE_CHECKING:
    from dsabench.kernels.dense_mha_prefill.contract import Inputs


def cost(inputs: Inputs) -> Cost:
    """2 · visible pairs · h_q · (192 + 128) FLOPs; q, k, v read and out written once."""
    s_q, h_q, _ = inputs.q.shape
    s_kv = inputs.k.shape[0]
    pairs = int(visible_keys(torch.tensor([s_kv]), s_q, inputs.causal).sum())
    moved = 2 * h_q * (s_q * (192 + 128) + s_kv * (192 + 128))
    return Cost(flops=2 * pairs * h_q * (192 + 128), compulsory_bytes=moved, gather_bytes=moved, product_dtype="bf16")
