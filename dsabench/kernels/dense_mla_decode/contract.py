"""Contract of `dense_mla_decode` (REFERENCE §2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Inputs:
    """q [b, s_q, h_q, 576] bf16; kv_cache [num_blocks, page, 1, 576] bf16, first 512 dims are V; block_table
    [b, max_blocks] int32, entries past a sequence's last block may hold anything; cache_seqlens [b] int32; causal: query
    t of s_q sees the first cache_seqlens − (s_q − 1 − t) keys."""

    q: torch.Tensor
    kv_cache: torch.Tensor
    block_table: torch.Tensor
    cache_seqlens: torch.Tensor
    sm_scale: float
    causal: bool = False
