"""Cost of `dense_mla_decode` (REFERENCE §3), from the actual lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.kv_cache import BF16_TOKEN_BYTES
from dsabench.kernels.op import Cost
from dsabench.kernels.visible_keys import visible_keys

if TYPE_CHECKING:
    from dsabench.kernels.dense_mla_decode.contract import Inputs


def cost(inputs: Inputs) -> Cost:
    """2 · Σ visible keys · h_q · (576 + 512) FLOPs; live tokens (1152 B each) + q + out. A token of a block that several
    sequences share is compulsory once and gathered once by each. The q of a query that sees nothing need not be read."""
    b, s_q, h_q, _ = inputs.q.shape
    visible = visible_keys(inputs.cache_seqlens, s_q, inputs.causal)
    per_head = h_q * 2 * (int((visible > 0).sum()) * 576 + b * s_q * 512)
    return Cost(
        flops=2 * int(visible.sum()) * h_q * (576 + 512),
        compulsory_bytes=_unique_tokens(inputs) * BF16_TOKEN_BYTES + per_head,
        gather_bytes=int(inputs.cache_seqlens.sum()) * BF16_TOKEN_BYTES + per_head,
        product_dtype="bf16",
    )


def _unique_tokens(inputs: Inputs) -> int:
    """Live tokens of the cache: of each block the most that any sequence uses."""
    num_blocks, page = inputs.kv_cache.shape[:2]
    table = inputs.block_table.cpu().long()
    before = torch.arange(table.shape[1]) * page
    tokens = (inputs.cache_seqlens.cpu().long()[:, None] - before).clamp(0, page)
    live = tokens > 0
    most = torch.zeros(num_blocks, dtype=torch.int64)
    most.scatter_reduce_(0, table[live], tokens[live], "amax")
    return int(most.sum())
