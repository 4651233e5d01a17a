"""bf16 rows into the 656-byte cache on the CPU, a row at a time while it is in the first-level cache.

1. Threads take ROWS_A_TASK rows at a time; a row whose slot is none is passed over.
2. Of each group of 128 the largest magnitude, as integers, and from it the scale.
3. Quotients and codes of the group in one loop of vectors; the rope dims are copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsabench.kernels.cache_rows.cpu_rows import ROWS_A_TASK, bf16_words, default_config, for_rows
from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.exact_jit import exact_kernel
from dsabench.kernels.cpu.fp8_groups import group_scale, quantize_group
from dsabench.kernels.implementation import Config, Implementation
from dsabench.kernels.kv_cache import D_QK, GROUP, LATENT, ROPE, ROPE_OFFSET, SCALE_OFFSET, TOKEN_BYTES
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.quantize_kv_cache.contract import Inputs


@exact_kernel
def _quantize_rows(kv, slots, codes, scales, rope, capacity, first, last, ue8m0):
    """Rows [first, last). codes, scales, rope: the cache's bytes as uint8, float32 and uint16, flat."""
    for row in range(first, last):
        slot = np.int64(slots[row])
        if slot < 0 or slot >= capacity:
            continue
        token = slot * TOKEN_BYTES
        for group in range(LATENT // GROUP):
            start = row * D_QK + group * GROUP
            scale = group_scale(kv, start, GROUP, ue8m0)
            quantize_group(kv, start, GROUP, scale, codes, token + group * GROUP)
            scales[(token + SCALE_OFFSET) // 4 + group] = scale
        for i in range(ROPE):
            rope[(token + ROPE_OFFSET) // 2 + i] = kv[row * D_QK + LATENT + i]


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    kv, slots = bf16_words(inputs.kv), inputs.slots.numpy()
    cache = outputs[0].numpy().reshape(-1)
    scales, rope = cache.view(np.float32), cache.view(np.uint16)
    capacity = inputs.num_blocks * inputs.page

    def move(first: int, last: int) -> None:
        _quantize_rows(kv, slots, cache, scales, rope, capacity, first, last, inputs.ue8m0)

    for_rows(len(slots), config, move)


IMPLEMENTATION = Implementation(
    op="quantize_kv_cache",
    name="cpu",
    summary="numba: a row at a time, amax as integers, divided and rounded in one loop of vectors",
    device_types=("cpu",),
    tunables=(ROWS_A_TASK,),
    default_config=default_config,
    run=run,
    unavailable=products.unavailable,
    describe=lambda config: "numba, vectors by LLVM",
)
