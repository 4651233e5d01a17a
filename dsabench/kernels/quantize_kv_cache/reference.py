"""The reference of `quantize_kv_cache`: the bytes of each row's token by `cache_rows.exact`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.cache_rows.exact import exact_quantized
from dsabench.kernels.kv_cache import GROUP, LATENT, pack_tokens
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.quantize_kv_cache.contract import Inputs


def reference(inputs: Inputs, rows: torch.Tensor) -> Outputs:
    """Tokens uint8 [len(rows), 656] on the CPU, of skipped rows too."""
    kv = inputs.kv[rows.to(inputs.kv.device)].cpu()
    codes, scales = exact_quantized(kv[:, :LATENT], GROUP, inputs.ue8m0)
    return (pack_tokens(torch.from_numpy(codes), torch.from_numpy(scales), kv[:, LATENT:]),)


def row_flops(inputs: Inputs) -> float:
    """No products; a number takes about as long as 400 FLOPs of one (a search among the codes)."""
    return 400.0 * LATENT
