"""What `dequantize_kv_cache` cannot avoid (REFERENCE §3): a copy's bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsabench.kernels.cache_rows.slots import in_range
from dsabench.kernels.kv_cache import BF16_TOKEN_BYTES, TOKEN_BYTES
from dsabench.kernels.op import Cost

if TYPE_CHECKING:
    from dsabench.kernels.dequantize_kv_cache.contract import Inputs


def cost(inputs: Inputs) -> Cost:
    """No products; the slots and each token that they name are read once, every row is written once."""
    num_blocks, page = inputs.kv_cache.shape[:2]
    named = inputs.slots[in_range(inputs.slots, num_blocks * page)]
    rows = inputs.slots.numel()
    fixed = rows * (inputs.slots.element_size() + BF16_TOKEN_BYTES)
    return Cost(0, fixed + named.unique().numel() * TOKEN_BYTES, fixed + named.numel() * TOKEN_BYTES, None)
