"""Contract of `sparse_mla_decode` (REFERENCE §2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Inputs:
    """q [b, s_q, h_q, 576] bf16; kv_cache [num_blocks, page, 1, 656] uint8, the layout of `kernels.kv_cache`; indices
    [b, s_q, k] int32, physical slots block·page + offset, entries < 0 or >= num_blocks·page are skipped; attn_sink [h_q]
    f32 or None; topk_length [b, s_q] int32 or None: only the leftmost topk_length[i, t] entries of a query count."""

    q: torch.Tensor
    kv_cache: torch.Tensor
    indices: torch.Tensor
    sm_scale: float
    attn_sink: torch.Tensor | None = None
    topk_length: torch.Tensor | None = None
