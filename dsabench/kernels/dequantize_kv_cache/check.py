"""The verdict on dequantized rows: the bits of every number, but for NaN, whose bits are the machine's choice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.kv_cache import LATENT
from dsabench.kernels.op import Check, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.dequantize_kv_cache.contract import Inputs

RULE = "per row: every number is code · scale in float32, rounded to bf16, bit for bit (any NaN for a NaN); rope bits are copied"


def check(inputs: Inputs, outputs: Outputs, rows: torch.Tensor, expected: Outputs) -> Check:
    got, want = outputs[0][rows.to(outputs[0].device)].cpu(), expected[0]
    differ = got.view(torch.int16) != want.view(torch.int16)
    # Of the latent dims alone: a rope dim is copied, NaN or not.
    differ[:, :LATENT] &= ~(got[:, :LATENT].isnan() & want[:, :LATENT].isnan())
    reason = ""
    if bool(differ.any()):
        row, dim = (int(i) for i in differ.nonzero()[0])
        bits = [int(side.view(torch.int16)[row, dim]) & 0xFFFF for side in (got, want)]
        reason = (
            f"kv: checked row {int(rows[row])} of slot {int(inputs.slots[rows[row]])}, dim {dim}: got {float(got[row, dim]):.7g} "
            f"({bits[0]:#06x}), expected {float(want[row, dim]):.7g} ({bits[1]:#06x}) ({int(differ.sum())} numbers differ)"
        )
    return Check(not reason, len(rows), len(outputs[0]), RULE, {"wrong_numbers": float(differ.sum())}, reason)
