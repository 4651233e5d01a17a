"""Float64 reference of `dense_mla_decode`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_reference import attend, estimated_row_flops, groups
from dsabench.kernels.kv_cache import flatten_pages, sequence_slots
from dsabench.kernels.op import Outputs
from dsabench.kernels.visible_keys import visible_keys

if TYPE_CHECKING:
    from dsabench.kernels.dense_mla_decode.contract import Inputs


def reference(inputs: Inputs, rows: torch.Tensor) -> Outputs:
    """out [n, 512], lse [n], float64 on the CPU, of the rows ((i · s_q + t) · h_q + head) in `rows` [n] int64."""
    _, s_q, h_q, _ = inputs.q.shape
    page = inputs.kv_cache.shape[1]
    tokens = flatten_pages(inputs.kv_cache)
    q = inputs.q.flatten(0, 2)
    visible = visible_keys(inputs.cache_seqlens, s_q, inputs.causal).flatten()[rows // h_q]
    out = torch.empty((rows.numel(), 512), dtype=torch.float64)
    lse = torch.empty(rows.numel(), dtype=torch.float64)
    for sequence, positions in groups(rows // (s_q * h_q)):
        table = inputs.block_table[sequence]

        def load(first: int, last: int, table: torch.Tensor = table) -> tuple[torch.Tensor, torch.Tensor]:
            kv = tokens[sequence_slots(table, page, first, last)].cpu().double()
            return kv, kv[:, :512]

        q_rows = q[rows[positions].to(q.device)].cpu().double()
        out[positions], lse[positions] = attend(q_rows, visible[positions], load, inputs.sm_scale, 512)
    return out, lse


def row_flops(inputs: Inputs) -> float:
    """FLOPs of one row with its share of loading the keys; see `estimated_row_flops`."""
    b, s_q = inputs.q.shape[:2]
    visible = visible_keys(inputs.cache_seqlens, s_q, inputs.causal)
    return estimated_row_flops(float(visible.double().mean()), 576, 512, b)
