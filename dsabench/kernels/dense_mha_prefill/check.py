"""Check of `dense_mha_prefill`: the prefill tolerances of REFERENCE §4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_check import PREFILL, check_attention
from dsabench.kernels.op import Check, Outputs
from dsabench.kernels.visible_keys import visible_keys

if TYPE_CHECKING:
    from dsabench.kernels.dense_mha_prefill.contract import Inputs


def check(inputs: Inputs, outputs: Outputs, rows: torch.Tensor, expected: Outputs) -> Check:
    """`expected` is the reference's outputs of `rows`; special values are checked on all rows."""
    visible = visible_keys(torch.tensor([inputs.k.shape[0]]), inputs.q.shape[0], inputs.causal)[0]
    return check_attention(outputs, visible > 0, rows, expected, PREFILL)
