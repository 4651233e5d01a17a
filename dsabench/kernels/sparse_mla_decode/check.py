"""Check of `sparse_mla_decode`: the decode tolerances of REFERENCE §4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_check import DECODE, check_attention
from dsabench.kernels.op import Check, Outputs
from dsabench.kernels.sparse_entries import flat_entries

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_decode.contract import Inputs


def check(inputs: Inputs, outputs: Outputs, rows: torch.Tensor, expected: Outputs) -> Check:
    """`expected` is the reference's outputs of `rows`; special values are checked on all rows."""
    _, counted, _ = flat_entries(inputs.indices, inputs.topk_length, inputs.kv_cache)
    return check_attention(outputs, counted.any(1).cpu(), rows, expected, DECODE)
