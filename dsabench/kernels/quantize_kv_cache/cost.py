"""What `quantize_kv_cache` cannot avoid (REFERENCE §3): a copy's bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsabench.kernels.cache_rows.slots import count_in_range
from dsabench.kernels.kv_cache import BF16_TOKEN_BYTES, TOKEN_BYTES
from dsabench.kernels.op import Cost

if TYPE_CHECKING:
    from dsabench.kernels.quantize_kv_cache.contract import Inputs


def cost(inputs: Inputs) -> Cost:
    """No products; the slots and the rows that have one are read once, their tokens written once."""
    moved = count_in_range(inputs.slots, inputs.num_blocks * inputs.page)
    total = inputs.slots.numel() * inputs.slots.element_size() + moved * (BF16_TOKEN_BYTES + TOKEN_BYTES)
    return Cost(0, total, total, None)
