"""Tokens of the 656-byte cache to bf16 rows on the CPU.

1. Threads take ROWS_A_TASK rows at a time; a row whose slot is none is zeros.
2. Of each group of 128 the codes become float32 by their bits, times the scale, rounded to bf16, in one loop of vectors.
3. The rope dims are copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsabench.kernels.cache_rows.cpu_rows import ROWS_A_TASK, bf16_words, default_config, for_rows
from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.exact_jit import exact_kernel
from dsabench.kernels.cpu.fp8_groups import dequantize_group
from dsabench.kernels.implementation import Config, Implementation
from dsabench.kernels.kv_cache import D_QK, GROUP, LATENT, ROPE, ROPE_OFFSET, SCALE_OFFSET, TOKEN_BYTES
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.dequantize_kv_cache.contract import Inputs


@exact_kernel
def _dequantize_rows(codes, scales, rope, slots, out, capacity, first, last):
    """Rows [first, last). codes, scales, rope: the cache's bytes as uint8, float32 and uint16; out: uint16 bits of bf16; all flat."""
    for row in range(first, last):
        slot = np.int64(slots[row])
        if slot < 0 or slot >= capacity:
            for i in range(D_QK):
                out[row * D_QK + i] = np.uint16(0)
            continue
        token = slot * TOKEN_BYTES
        for group in range(LATENT // GROUP):
            scale = scales[(token + SCALE_OFFSET) // 4 + group]
            dequantize_group(codes, token + group * GROUP, GROUP, scale, out, row * D_QK + group * GROUP)
        for i in range(ROPE):
            out[row * D_QK + LATENT + i] = rope[(token + ROPE_OFFSET) // 2 + i]


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    cache, slots = inputs.kv_cache.numpy().reshape(-1), inputs.slots.numpy()
    scales, rope = cache.view(np.float32), cache.view(np.uint16)
    out = bf16_words(outputs[0])
    capacity = cache.size // TOKEN_BYTES

    def move(first: int, last: int) -> None:
        _dequantize_rows(cache, scales, rope, slots, out, capacity, first, last)

    for_rows(len(slots), config, move)


IMPLEMENTATION = Implementation(
    op="dequantize_kv_cache",
    name="cpu",
    summary="numba: codes by their bits, scaled and rounded in one loop of vectors",
    device_types=("cpu",),
    tunables=(ROWS_A_TASK,),
    default_config=default_config,
    run=run,
    unavailable=products.unavailable,
    describe=lambda config: "numba, vectors by LLVM",
)
