"""Contract of `sparse_mla_prefill` (REFERENCE §2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Inputs:
    """q [s_q, h_q, 576] bf16; kv [s_kv, 1, 576] bf16, whose first 512 dims are V; indices [s_q, 1, k] int32, rows of kv,
    entries < 0 or >= s_kv are skipped; attn_sink [h_q] f32 or None; topk_length [s_q] int32 or None: only the leftmost
    topk_length[t] entries of query t count."""

    q: torch.Tensor
    kv: torch.Tensor
    indices: torch.Tensor
    sm_scale: float
    attn_sink: torch.Tensor | None = None
    topk_length: torch.Tensor | None = None
