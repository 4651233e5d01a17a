"""Which entries of a sparse op's index rows count, and what they cost."""

from __future__ import annotations

import torch

from dsabench.kernels.op import Cost


def counted_entries(indices: torch.Tensor, topk_length: torch.Tensor | None, limit: int) -> torch.Tensor:
    """bool [n, k], on the device of `indices` [n, k] int32: entries in [0, limit) among the leftmost topk_length[i] of
    their row (all k without it). Repeated indices count as often as they stand."""
    counted = (indices >= 0) & (indices < limit)
    if topk_length is not None:
        counted &= torch.arange(indices.shape[1], device=indices.device) < topk_length[:, None]
    return counted


def touched_rows(indices: torch.Tensor, counted: torch.Tensor, limit: int) -> torch.Tensor:
    """The different rows of [0, limit) that the counted entries touch, ascending int64."""
    touched = torch.zeros(limit, dtype=torch.bool, device=indices.device)
    touched[indices[counted].long()] = True
    return touched.nonzero()[:, 0]


def sparse_mla_cost(indices: torch.Tensor, counted: torch.Tensor, limit: int, h_q: int, row_bytes: int) -> Cost:
    """indices [queries, k], counted bool of the same shape, KV rows of `row_bytes` (REFERENCE §3)."""
    entries = int(counted.sum())
    read_queries = int(counted.any(1).sum())
    per_head = h_q * (read_queries * 576 * 2 + indices.shape[0] * (512 * 2 + 4))
    return Cost(
        flops=2 * entries * h_q * (576 + 512),
        compulsory_bytes=touched_rows(indices, counted, limit).numel() * row_bytes + per_head,
        gather_bytes=entries * row_bytes + per_head,
        product_dtype="bf16",
    )


def flat_entries(
    indices: torch.Tensor, topk_length: torch.Tensor | None, kv_cache: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Of decode arguments (indices [b, s_q, k], topk_length [b, s_q] or None, a paged cache): indices [b·s_q, k], which of
    them count, and the number of slots."""
    slots = kv_cache.shape[0] * kv_cache.shape[1]
    flat = indices.flatten(0, 1)
    length = None if topk_length is None else topk_length.flatten()
    return flat, counted_entries(flat, length, slots), slots
