"""What `topk_select` cannot avoid (REFERENCE §3), from the windows a call really has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsabench.kernels.op import Cost

if TYPE_CHECKING:
    from dsabench.kernels.topk_select.contract import Inputs


def cost(inputs: Inputs) -> Cost:
    """No products; the scores inside the windows and the windows are read once, the indices written once."""
    rows = inputs.logits.shape[0]
    valid = int((inputs.ends.long() - inputs.starts.long()).clamp_min(0).sum())
    total = valid * 4 + rows * 8 + rows * inputs.k * 4
    return Cost(0, total, total, None)
