"""Float64 reference of `sparse_mla_prefill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_reference import estimated_row_flops, sparse_reference
from dsabench.kernels.op import Outputs
from dsabench.kernels.sparse_entries import counted_entries

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_prefill.contract import Inputs


def reference(inputs: Inputs, rows: torch.Tensor) -> Outputs:
    """out [n, 512], lse [n], float64 on the CPU, of the rows (query · h_q + head) in `rows` [n] int64."""
    kv = inputs.kv[:, 0]
    indices = inputs.indices[:, 0].cpu()
    length = None if inputs.topk_length is None else inputs.topk_length.cpu()

    def load_rows(index: torch.Tensor) -> torch.Tensor:
        return kv[index.to(kv.device)].cpu().double()

    counted = counted_entries(indices, length, kv.shape[0])
    return sparse_reference(inputs.q, indices, counted, load_rows, inputs.sm_scale, inputs.attn_sink, rows)


def row_flops(inputs: Inputs) -> float:
    """FLOPs of one row with its share of the gather; see `estimated_row_flops`."""
    counted = counted_entries(inputs.indices[:, 0], inputs.topk_length, inputs.kv.shape[0])
    queries = counted.shape[0]
    return estimated_row_flops(int(counted.sum()) / queries, 576, 512, queries)
