"""Check of `dense_mla_decode`: the decode tolerances of REFERENCE §4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_check import DECODE, check_attention
from dsabench.kernels.op import Check, Outputs
from dsabench.kernels.visible_keys import visible_keys

if TYPE_CHECKING:
    from dsabench.kernels.dense_mla_decode.contract import Inputs


def check(inputs: Inputs, outputs: Outputs, rows: torch.Tensor, expected: Outputs) -> Check:
    """`expected` is the reference's outputs of `rows`; special values are checked on all rows."""
    visible = visible_keys(inputs.cache_seqlens, inputs.q.shape[1], inputs.causal)
    return check_attention(outputs, visible.flatten() > 0, rows, expected, DECODE)
