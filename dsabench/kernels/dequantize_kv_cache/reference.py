"""The reference of `dequantize_kv_cache`: each row by `cache_rows.exact`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.cache_rows.exact import exact_dequantized
from dsabench.kernels.cache_rows.slots import in_range
from dsabench.kernels.kv_cache import D_QK, LATENT, flatten_pages, unpack_tokens
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.dequantize_kv_cache.contract import Inputs


def reference(inputs: Inputs, rows: torch.Tensor) -> Outputs:
    """bf16 [len(rows), 576] on the CPU."""
    tokens = flatten_pages(inputs.kv_cache)
    slots = inputs.slots[rows.to(inputs.slots.device)]
    valid = in_range(slots, len(tokens))
    codes, scales, rope = unpack_tokens(tokens[slots[valid].long()].cpu())
    out = torch.zeros((len(rows), D_QK), dtype=torch.bfloat16)
    place = valid.cpu().nonzero().squeeze(1)
    out[place, :LATENT] = exact_dequantized(codes, scales)
    out[place, LATENT:] = rope
    return (out,)


def row_flops(inputs: Inputs) -> float:
    """No products; a number takes about as long as 100 FLOPs of one (a look-up and a rounding)."""
    return 100.0 * LATENT
