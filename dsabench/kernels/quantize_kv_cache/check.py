"""The verdict on the tokens that rows became and on the slots that no row names, byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.cache_rows.written import TokenBytes, check_written
from dsabench.kernels.kv_cache import GROUP, LATENT
from dsabench.kernels.op import Check, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.quantize_kv_cache.contract import Inputs

LAYOUT = TokenBytes(codes=LATENT, scales=LATENT // GROUP)


def check(inputs: Inputs, outputs: Outputs, rows: torch.Tensor, expected: Outputs) -> Check:
    """outputs: the cache, which held UNUSED bytes alone before."""
    return check_written("kv_cache", [outputs[0][:, :, 0]], LAYOUT, inputs.slots, rows, expected[0])
