"""The contract of `indexer_logits` (REFERENCE §2): axes, inputs, argument checks."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Inputs:
    """I[t, s] = k_scale[s] · Σ_h weights[t, h] · relu(q[t, h, :] · k[s, :]) for ks[t] <= s < ke[t], else -inf.

    q         float8_e4m3fn [s_q, h, 128]; h is 8, 16, 32 or 64
    k         float8_e4m3fn [s_kv, 128], one key head for all query heads
    k_scale   float32 [s_kv]
    weights   float32 [s_q, h], any sign; the query's own scale and the softmax scales are folded in
    ks, ke    int32 [s_q], half-open windows in [0, s_kv]; ks >= ke is an empty window
    """

    q: torch.Tensor
    k: torch.Tensor
    k_scale: torch.Tensor
    weights: torch.Tensor
    ks: torch.Tensor
    ke: torch.Tensor
