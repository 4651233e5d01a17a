"""The verdict on the codes and scales that keys became and on the slots that no key names, byte by byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.cache_rows.written import TokenBytes, check_written
from dsabench.kernels.index_cache import HEAD_DIM, key_codes, key_scales
from dsabench.kernels.op import Check, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.quantize_index_cache.contract import Inputs

LAYOUT = TokenBytes(codes=HEAD_DIM, scales=1)


def check(inputs: Inputs, outputs: Outputs, rows: torch.Tensor, expected: Outputs) -> Check:
    """outputs: the cache, which held UNUSED bytes alone before."""
    codes = key_codes(outputs[0]).view(torch.uint8)
    scales = key_scales(outputs[0]).unsqueeze(-1).view(torch.uint8)
    return check_written("cache", [codes, scales], LAYOUT, inputs.slots, rows, expected[0])
