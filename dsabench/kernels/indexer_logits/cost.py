"""What `indexer_logits` cannot avoid (REFERENCE §3), from the windows a call really has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.op import Cost

if TYPE_CHECKING:
    from dsabench.kernels.indexer_logits.contract import Inputs


def cost(inputs: Inputs) -> Cost:
    """2·(valid pairs)·h·128 FLOPs; q, weights and windows of the queries that see a key, keys and scales that some
    window reaches, and the whole output, each once."""
    s_q, h, dim = inputs.q.shape
    s_kv = inputs.k.shape[0]
    starts, ends = inputs.ks.cpu().long(), inputs.ke.cpu().long()
    lengths = (ends - starts).clamp_min(0)
    live = lengths > 0
    key_bytes = touched(starts[live], ends[live], s_kv) * (dim + 4)
    query_bytes = int(live.sum()) * h * (dim + 4) + s_q * 8
    total = key_bytes + query_bytes + s_q * s_kv * 4
    return Cost(2 * int(lengths.sum()) * h * dim, total, total, "fp8")


def touched(starts: torch.Tensor, ends: torch.Tensor, size: int) -> int:
    """How many of `size` columns lie in at least one of the windows [start, end), int64 [n], none of them empty."""
    edges = torch.zeros(size + 1, dtype=torch.int64)
    edges.index_add_(0, starts, torch.ones_like(starts))
    edges.index_add_(0, ends, -torch.ones_like(ends))
    return int((edges.cumsum(0)[:size] > 0).sum())
