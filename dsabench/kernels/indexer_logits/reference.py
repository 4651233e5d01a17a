"""The float64 reference of the indexer's scores. Exact up to float64 rounding; no intermediate above about 32 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.fp8 import decode_e4m3
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.indexer_logits.contract import Inputs

TILE_KEYS = 8192
"""keys decoded at a time: 8 MB in float64"""
_TILE_SCORES = 4 * 1024 * 1024  # per-head scores at a time: 32 MB in float64


def reference(inputs: Inputs, rows: torch.Tensor) -> Outputs:
    """Logits float64 [len(rows), s_kv], on the CPU, of the queries `rows` (int64)."""
    starts, ends = inputs.ks.cpu()[rows].long(), inputs.ke.cpu()[rows].long()
    s_kv = inputs.k.shape[0]
    out = torch.full((len(rows), s_kv), -torch.inf, dtype=torch.float64)
    live = ends > starts
    if not bool(live.any()):
        return (out,)
    there = rows.to(inputs.q.device)
    # Indexed as bytes: not every device indexes float8.
    q = decode_e4m3(inputs.q.view(torch.uint8)[there].cpu(), torch.float64)
    weights = inputs.weights[there].cpu().double()
    low, high = int(starts[live].min()), int(ends[live].max())
    for first in range(low, high, TILE_KEYS):
        last = min(first + TILE_KEYS, high)
        k = decode_e4m3(inputs.k[first:last].cpu(), torch.float64)
        columns = torch.arange(first, last)
        inside = (columns >= starts[:, None]) & (columns < ends[:, None])
        scores = score_tile(q, k, inputs.k_scale[first:last].cpu().double(), weights)
        out[:, first:last] = torch.where(inside, scores, -torch.inf)
    return (out,)


def score_tile(q: torch.Tensor, k: torch.Tensor, k_scale: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Scores [r, n] of q [r, h, 128] and k [n, 128] with k_scale [n] and weights [r, h], all float64; a NaN in a key or a
    query makes its scores NaN."""
    r, h, dim = q.shape
    n = k.shape[0]
    out = torch.empty((r, n), dtype=q.dtype, device=q.device)
    step = max(1, _TILE_SCORES // (h * n))
    for i in range(0, r, step):
        heads = (q[i : i + step].reshape(-1, dim) @ k.T).view(-1, h, n).relu_()
        out[i : i + step] = torch.bmm(weights[i : i + step, None], heads).squeeze(1)
    return out * k_scale


def row_flops(inputs: Inputs) -> float:
    h, dim = inputs.q.shape[1:]
    return 2.0 * h * dim * inputs.k.shape[0]
