"""Float64 reference of `dense_mha_prefill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_reference import attend, estimated_row_flops, groups
from dsabench.kernels.op import Outputs
from dsabench.kernels.visible_keys import visible_keys

if TYPE_CHECKING:
    from dsabench.kernels.dense_mha_prefill.contract import Inputs


def reference(inputs: Inputs, rows: torch.Tensor) -> Outputs:
    """out [n, 128], lse [n], float64 on the CPU, of the rows (t · h_q + head) in `rows` [n] int64."""
    s_q, h_q, _ = inputs.q.shape
    queries = rows // h_q
    visible = visible_keys(torch.tensor([inputs.k.shape[0]]), s_q, inputs.causal)[0][queries]
    out = torch.empty((rows.numel(), 128), dtype=torch.float64)
    lse = torch.empty(rows.numel(), dtype=torch.float64)
    for head, positions in groups(rows % h_q):

        def load(first: int, last: int, head: int = head) -> tuple[torch.Tensor, torch.Tensor]:
            return inputs.k[first:last, head].cpu().double(), inputs.v[first:last, head].cpu().double()

        q_rows = inputs.q[queries[positions].to(inputs.q.device), head].cpu().double()
        out[positions], lse[positions] = attend(q_rows, visible[positions], load, inputs.sm_scale, 128)
    return out, lse


def row_flops(inputs: Inputs) -> float:
    """FLOPs of one row with its share of loading the keys; see `estimated_row_flops`."""
    s_q, h_q, _ = inputs.q.shape
    visible = visible_keys(torch.tensor([inputs.k.shape[0]]), s_q, inputs.causal)
    return estimated_row_flops(float(visible.double().mean()), 192, 128, h_q)
