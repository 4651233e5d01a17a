"""Scratch memory for vector code."""

from __future__ import annotations

import math

import numpy as np

LINE = 64
"""Bytes of a cache line and of a zmm register."""


def aligned_empty(shape: tuple[int, ...] | int, dtype: type[np.generic]) -> np.ndarray:
    """`np.empty` at a multiple of 64 bytes. NumPy promises 16: every 64-byte load then touches two cache lines, and which
    call is hit by it is luck of the allocator."""
    sizes = (shape,) if isinstance(shape, int) else shape
    count = math.prod(sizes)
    size = np.dtype(dtype).itemsize
    raw = np.empty(count * size + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + count * size].view(dtype).reshape(sizes)
