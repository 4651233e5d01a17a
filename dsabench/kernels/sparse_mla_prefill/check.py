"""Check of `sparse_mla_prefill`: the prefill tolerances of REFERENCE §4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_check import PREFILL, check_attention
from dsabench.kernels.op import Check, Outputs
from dsabench.kernels.sparse_entries import counted_entries

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_prefill.contract import Inputs


def check(inputs: Inputs, outputs: Outputs, rows: torch.Tensor, expected: Outputs) -> Check:
    """`expected` is the reference's outputs of `rows`; special values are checked on all rows."""
    has_key = counted_entries(inputs.indices[:, 0], inputs.topk_length, inputs.kv.shape[0]).any(1).cpu()
    return check_attention(outputs, has_key, rows, expected, PREFILL)
