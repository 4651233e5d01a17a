"""Float64 reference of `sparse_mla_decode`, on the dequantized cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_reference import estimated_row_flops, sparse_reference
from dsabench.kernels.kv_cache import dequantize_tokens, flatten_pages
from dsabench.kernels.op import Outputs
from dsabench.kernels.sparse_entries import flat_entries

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_decode.contract import Inputs


def reference(inputs: Inputs, rows: torch.Tensor) -> Outputs:
    """out [n, 512], lse [n], float64 on the CPU, of the rows (query · h_q + head, query = i · s_q + t) in `rows` [n]
    int64. Codes are multiplied by their scales in float64."""
    tokens = flatten_pages(inputs.kv_cache)
    indices, counted, _ = flat_entries(inputs.indices, inputs.topk_length, inputs.kv_cache)

    def load_rows(index: torch.Tensor) -> torch.Tensor:
        return dequantize_tokens(tokens[index.to(tokens.device)].cpu(), torch.float64)

    q = inputs.q.flatten(0, 1)
    return sparse_reference(q, indices.cpu(), counted.cpu(), load_rows, inputs.sm_scale, inputs.attn_sink, rows)


def row_flops(inputs: Inputs) -> float:
    """FLOPs of one row with its share of the gather; see `estimated_row_flops`."""
    _, counted, _ = flat_entries(inputs.indices, inputs.topk_length, inputs.kv_cache)
    queries = counted.shape[0]
    return estimated_row_flops(int(counted.sum()) / queries, 576, 512, queries)
