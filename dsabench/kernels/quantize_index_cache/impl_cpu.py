"""bf16 keys into the 132-byte cache on the CPU, a key at a time while it is in the first-level cache.

1. Threads take ROWS_A_TASK keys at a time; a key whose slot is none is passed over.
2. The largest magnitude of a key, as integers, and from it the scale.
3. Quotients and codes in one loop of vectors: codes where the block has them, the scale behind all of its codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dsabench.kernels.cache_rows.cpu_rows import ROWS_A_TASK, bf16_words, default_config, for_rows
from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.exact_jit import exact_kernel
from dsabench.kernels.cpu.fp8_groups import group_scale, quantize_group
from dsabench.kernels.implementation import Config, Implementation
from dsabench.kernels.index_cache import BLOCK_BYTES, BLOCK_TOKENS, HEAD_DIM, SCALES_OFFSET
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.quantize_index_cache.contract import Inputs


@exact_kernel
def _quantize_keys(keys, slots, codes, scales, capacity, first, last, ue8m0):
    """Keys [first, last). codes, scales: the cache's bytes as uint8 and float32, flat."""
    for row in range(first, last):
        slot = np.int64(slots[row])
        if slot < 0 or slot >= capacity:
            continue
        block, offset = (slot // BLOCK_TOKENS) * BLOCK_BYTES, slot % BLOCK_TOKENS
        scale = group_scale(keys, row * HEAD_DIM, HEAD_DIM, ue8m0)
        quantize_group(keys, row * HEAD_DIM, HEAD_DIM, scale, codes, block + offset * HEAD_DIM)
        scales[(block + SCALES_OFFSET) // 4 + offset] = scale


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    keys, slots = bf16_words(inputs.keys), inputs.slots.numpy()
    cache = outputs[0].numpy().reshape(-1)
    scales = cache.view(np.float32)
    capacity = inputs.num_blocks * BLOCK_TOKENS

    def move(first: int, last: int) -> None:
        _quantize_keys(keys, slots, cache, scales, capacity, first, last, inputs.ue8m0)

    for_rows(len(slots), config, move)


IMPLEMENTATION = Implementation(
    op="quantize_index_cache",
    name="cpu",
    summary="numba: a key at a time, amax as integers, divided and rounded in one loop of vectors",
    device_types=("cpu",),
    tunables=(ROWS_A_TASK,),
    default_config=default_config,
    run=run,
    unavailable=products.unavailable,
    describe=lambda config: "numba, vectors by LLVM",
)
