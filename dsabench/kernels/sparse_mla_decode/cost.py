"""Cost of `sparse_mla_decode` (REFERENCE §3), from the entries that are valid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsabench.kernels.kv_cache import TOKEN_BYTES
from dsabench.kernels.op import Cost
from dsabench.kernels.sparse_entries import flat_entries, sparse_mla_cost

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_decode.contract import Inputs


def cost(inputs: Inputs) -> Cost:
    """2 · valid entries · h_q · (576 + 512) FLOPs; unique slots (656 B each) + q + out + lse. The q of a query without a
    valid entry need not be read."""
    indices, counted, slots = flat_entries(inputs.indices, inputs.topk_length, inputs.kv_cache)
    return sparse_mla_cost(indices, counted, slots, inputs.q.shape[2], TOKEN_BYTES)
