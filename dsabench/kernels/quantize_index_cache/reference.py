"""The reference of `quantize_index_cache`: codes and scale of each key by `cache_rows.exact`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.cache_rows.exact import exact_quantized
from dsabench.kernels.index_cache import HEAD_DIM
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.quantize_index_cache.contract import Inputs


def reference(inputs: Inputs, rows: torch.Tensor) -> Outputs:
    """uint8 [len(rows), 132] on the CPU, of skipped keys too: 128 codes, then the 4 bytes of the scale."""
    keys = inputs.keys[rows.to(inputs.keys.device)]
    codes, scales = (torch.from_numpy(part) for part in exact_quantized(keys, HEAD_DIM, inputs.ue8m0))
    return (torch.cat([codes, scales.view(torch.uint8)], -1),)


def row_flops(inputs: Inputs) -> float:
    """No products; a number takes about as long as 400 FLOPs of one (a search among the codes)."""
    return 400.0 * HEAD_DIM
