"""What the vector units can do: product rates with operands in the first-level cache, the ceiling of every CPU kernel."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence

import numpy as np

from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.cpu.microkernel import REGISTER_TILES, accumulate_products
from dsabench.kernels.cpu.parallel import parallel_for, thread_count
from dsabench.kernels.cpu.tiles import default_tile
from dsabench.kernels.machine import cpu_isa

ROWS, STEPS, LANES = 12, 96, 64  # a panel of 24 KB: with its rows it fits a first-level cache of 32 KB
TARGET_S = 0.02


@kernel
def _repeat(a, panel, out, repeats, tile):
    for _ in range(repeats):
        accumulate_products(a, 0, STEPS, 1, ROWS, panel, 0, LANES, STEPS, out, 0, LANES, LANES, tile)


def _run_operands(operands: Sequence[tuple[np.ndarray, ...]], repeats: int, tile: int, task: int, slot: int) -> None:
    _repeat(*operands[task], repeats, tile)


def _rate(dtype: type[np.generic], products_per_word: int) -> float:
    threads = thread_count()
    tile = REGISTER_TILES.index(default_tile(LANES))
    # Small positive numbers: no NaN, infinity or denormal to slow a unit down.
    value = 0x3C003C00 if dtype is np.uint32 else 0.0078125
    operands = [
        (np.full(ROWS * STEPS, value, dtype), np.full(STEPS * LANES, value, dtype), np.zeros(ROWS * LANES, np.float32))
        for _ in range(threads)
    ]
    flops = 2 * products_per_word * ROWS * STEPS * LANES
    _run_operands(operands, 1, tile, 0, 0)  # compiles
    repeats = 200
    while True:
        start = time.perf_counter()
        parallel_for(threads, functools.partial(_run_operands, operands, repeats, tile), threads)
        elapsed = time.perf_counter() - start
        if elapsed >= TARGET_S:
            return flops * repeats * threads / elapsed
        repeats = int(repeats * max(2.0, 1.2 * TARGET_S / elapsed))


def product_rates() -> dict[str, Callable[[], float]]:
    """By dtype (`bf16`, `f32`): a function that runs products on all threads for at least 20 ms and returns FLOP/s.

    `bf16` is there only where the CPU has bf16 products.
    """
    rates: dict[str, Callable[[], float]] = {"f32": lambda: _rate(np.float32, 1)}
    if "avx512_bf16" in cpu_isa():
        rates["bf16"] = lambda: _rate(np.uint32, 2)
    return rates
