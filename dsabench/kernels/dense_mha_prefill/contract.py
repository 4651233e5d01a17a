"""Contract of `dense_mha_prefill` (REFERENCE §2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Inputs:
    """q [s_q, h_q, 192], k [s_kv, h_q, 192], v [s_kv, h_q, 128], all bf16; causal: query t sees the first
    s_kv − (s_q − 1 − t) keys (aligned at the end)."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    sm_scale: float
    causal: bool = True
