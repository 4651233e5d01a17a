"""`quantize_kv_cache` as a user writes it in eager torch: `kv_cache.quantize_tokens` and an indexed assignment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsabench.kernels.cache_rows.slots import in_range
from dsabench.kernels.cache_rows.torch_rows import ROWS_PER_CALL, constraint, default_config
from dsabench.kernels.implementation import Config, Implementation
from dsabench.kernels.kv_cache import flatten_pages, quantize_tokens
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.quantize_kv_cache.contract import Inputs


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    tokens = flatten_pages(outputs[0])
    step = int(config["ROWS_PER_CALL"])
    for kv, slots in zip(inputs.kv.split(step), inputs.slots.split(step), strict=True):
        valid = in_range(slots, len(tokens))
        tokens[slots[valid].long()] = quantize_tokens(kv[valid], inputs.ue8m0)


IMPLEMENTATION = Implementation(
    op="quantize_kv_cache",
    name="torch",
    summary="eager torch: amax, divide, cast, pack, indexed assignment",
    device_types=("cpu", "cuda"),
    tunables=(ROWS_PER_CALL,),
    default_config=default_config,
    run=run,
    constraint=constraint,
)
