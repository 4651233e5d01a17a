"""`quantize_index_cache` as a user writes it in eager torch: `fp8.quantize_e4m3` and two indexed assignments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.cache_rows.slots import in_range
from dsabench.kernels.cache_rows.torch_rows import ROWS_PER_CALL, constraint, default_config
from dsabench.kernels.fp8 import quantize_e4m3
from dsabench.kernels.implementation import Config, Implementation
from dsabench.kernels.index_cache import BLOCK_TOKENS, HEAD_DIM, key_codes, key_scales
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.quantize_index_cache.contract import Inputs


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    all_codes, all_scales = key_codes(outputs[0]).view(torch.uint8), key_scales(outputs[0])
    step = int(config["ROWS_PER_CALL"])
    for keys, slots in zip(inputs.keys.split(step), inputs.slots.split(step), strict=True):
        valid = in_range(slots, inputs.num_blocks * BLOCK_TOKENS)
        own = slots[valid].long()
        block, offset = own // BLOCK_TOKENS, own % BLOCK_TOKENS
        codes, scales = quantize_e4m3(keys[valid], HEAD_DIM, inputs.ue8m0)
        all_codes[block, offset] = codes.view(torch.uint8)
        all_scales[block, offset] = scales.squeeze(-1)


IMPLEMENTATION = Implementation(
    op="quantize_index_cache",
    name="torch",
    summary="eager torch: amax, divide, cast, indexed assignments of codes and scales",
    device_types=("cpu", "cuda"),
    tunables=(ROWS_PER_CALL,),
    default_config=default_config,
    run=run,
    constraint=constraint,
)
