"""The work of a workload that nobody built: what `Op.cost` would say of its ordinary inputs, from the axes alone.

Lengths and windows are those of the `normal` distribution; of random indices the expected number of different rows is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from dsabench.kernels.attention_inputs import causal_contexts
from dsabench.kernels.kv_cache import BF16_TOKEN_BYTES, TOKEN_BYTES
from dsabench.kernels.op import Axes, Cost
from dsabench.kernels.registry import get_op


def expected_cost(op: str, axes: Axes) -> Cost | None:
    """None for an op whose ordinary inputs are not known here. Raises UnknownNameError for an unknown op."""
    found = get_op(op)
    complete = found.complete_axes(axes)
    if op in _SPARSE:
        return _SPARSE[op](complete)
    if op not in _LENGTHS:
        return None
    return found.cost(replace(found.empty_inputs(complete, torch.device("meta")), **_LENGTHS[op](complete)))


def _indexer(axes: Axes) -> dict[str, Any]:
    s_q, s_kv = axes["s_q"], axes["s_kv"]
    ends = torch.full((s_q,), s_kv)
    if axes["causal"]:
        ends = (s_kv - s_q + 1 + torch.arange(s_q)).clamp_min(0)
    return {"ks": torch.zeros(s_q, dtype=torch.int32), "ke": ends.to(torch.int32)}


def _paged_indexer(axes: Axes) -> dict[str, Any]:
    b, next_n, s_kv = axes["b"], axes["next_n"], axes["s_kv"]
    lengths = (s_kv - torch.arange(next_n - 1, -1, -1)).clamp_min(0).to(torch.int32)
    return {"context_lens": lengths.expand(b, next_n), "block_table": _own_blocks(b, -(-s_kv // 64))}


def _dense_decode(axes: Axes) -> dict[str, Any]:
    b, s_kv = axes["b"], axes["s_kv"]
    return {
        "cache_seqlens": torch.full((b,), s_kv, dtype=torch.int32),
        "block_table": _own_blocks(b, -(-s_kv // axes["page"])),
    }


def _topk(axes: Axes) -> dict[str, Any]:
    rows = axes["rows"]
    return {
        "starts": torch.zeros(rows, dtype=torch.int32),
        "ends": torch.full((rows,), axes["s_kv"], dtype=torch.int32),
    }


def _slots(axes: Axes) -> dict[str, Any]:
    return {"slots": torch.arange(axes["s_kv"])}


def _own_blocks(b: int, blocks: int) -> torch.Tensor:
    return torch.arange(b * blocks, dtype=torch.int32).view(b, blocks)


_LENGTHS: dict[str, Callable[[Axes], dict[str, Any]]] = {
    "indexer_logits": _indexer,
    "paged_indexer_logits": _paged_indexer,
    "dense_mla_decode": _dense_decode,
    "dense_mha_prefill": lambda axes: {},
    "topk_select": _topk,
    "quantize_kv_cache": _slots,
    "quantize_index_cache": _slots,
    "dequantize_kv_cache": _slots,
}


def _sparse(axes: Axes, sequences: int, row_bytes: int) -> Cost:
    """As kernels.sparse_entries.sparse_mla_cost counts it, of queries that choose their keys independently."""
    h_q, topk, s_kv = axes["h_q"], axes["topk"], axes["s_kv"]
    contexts = causal_contexts(1, axes["s_q"], s_kv)
    chosen = np.minimum(contexts, topk)
    entries = int(chosen.sum()) * sequences
    unchosen = float(np.prod(1 - chosen / contexts))
    per_head = h_q * len(contexts) * sequences * (576 * 2 + 512 * 2 + 4)
    different = round(s_kv * (1 - unchosen)) * sequences
    return Cost(
        2 * entries * h_q * (576 + 512), different * row_bytes + per_head, entries * row_bytes + per_head, "bf16"
    )


_SPARSE: dict[str, Callable[[Axes], Cost]] = {
    "sparse_mla_prefill": lambda axes: _sparse(axes, 1, BF16_TOKEN_BYTES),
    "sparse_mla_decode": lambda axes: _sparse(axes, axes["b"], TOKEN_BYTES),
}
