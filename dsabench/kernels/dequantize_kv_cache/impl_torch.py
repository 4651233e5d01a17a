"""`dequantize_kv_cache` as a user writes it in eager torch: an indexed read and `kv_cache.dequantize_tokens`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.cache_rows.slots import in_range
from dsabench.kernels.cache_rows.torch_rows import ROWS_PER_CALL, constraint, default_config
from dsabench.kernels.implementation import Config, Implementation
from dsabench.kernels.kv_cache import LATENT, dequantize_tokens, flatten_pages, unpack_tokens
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.dequantize_kv_cache.contract import Inputs


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    tokens = flatten_pages(inputs.kv_cache)
    step = int(config["ROWS_PER_CALL"])
    for out, slots in zip(outputs[0].split(step), inputs.slots.split(step), strict=True):
        valid = in_range(slots, len(tokens))
        own = tokens[torch.where(valid, slots, 0).long()]
        out.copy_(dequantize_tokens(own))
        out[:, LATENT:] = unpack_tokens(own)[2]  # a NaN keeps its bits
        out.masked_fill_(~valid[:, None], 0)


IMPLEMENTATION = Implementation(
    op="dequantize_kv_cache",
    name="torch",
    summary="eager torch: indexed read, table look-up of the codes, multiply, cast",
    device_types=("cpu", "cuda"),
    tunables=(ROWS_PER_CALL,),
    default_config=default_config,
    run=run,
    constraint=constraint,
)
