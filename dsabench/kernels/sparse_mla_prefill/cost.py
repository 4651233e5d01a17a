"""Cost of `sparse_mla_prefill` (REFERENCE §3), from the entries that are valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsabench.kernels.kv_cache import BF16_TOKEN_BYTES
from dsabench.kernels.op import Cost
from dsabench.kernels.sparse_entries import counted_entries, sparse_mla_cost

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_prefill.contract import Inputs


def cost(inputs: Inputs) -> Cost:
    """2 · valid entries · h_q · (576 + 512) FLOPs; unique rows of kv (1152 B each) + q + out + lse. The q of a query
    without a valid entry need not be read."""
    indices, limit = inputs.indices[:, 0], inputs.kv.shape[0]
    counted = counted_entries(indices, inputs.topk_length, limit)
    return sparse_mla_cost(indices, counted, limit, inputs.q.shape[1], BF16_TOKEN_BYTES)
