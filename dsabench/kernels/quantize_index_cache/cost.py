"""What `quantize_index_cache` cannot avoid (REFERENCE §3): a copy's bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsabench.kernels.cache_rows.slots import count_in_range
from dsabench.kernels.index_cache import BLOCK_TOKENS, HEAD_DIM, TOKEN_BYTES
from dsabench.kernels.op import Cost

if TYPE_CHECKING:
    from dsabench.kernels.quantize_index_cache.contract import Inputs


def cost(inputs: Inputs) -> Cost:
    """No products; the slots and the keys that have one are read once, their codes and scales written once."""
    moved = count_in_range(inputs.slots, inputs.num_blocks * BLOCK_TOKENS)
    total = inputs.slots.numel() * inputs.slots.element_size() + moved * (2 * HEAD_DIM + TOKEN_BYTES)
    return Cost(0, total, total, None)
