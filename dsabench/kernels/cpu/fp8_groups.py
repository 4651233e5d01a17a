"""Groups of bf16 numbers to e4m3 codes with one scale and back, as `kernels.fp8` has them, bit for bit.

bf16 are uint16 bits. Every loop is over integers and floats alone, without branches: LLVM makes vectors of them on any CPU.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dsabench.kernels.cpu.exact_jit import exact_kernel
from dsabench.kernels.fp8 import AMAX_FLOOR, E4M3_MAX

_FLOOR = np.float32(AMAX_FLOOR)
_MAX = np.float32(E4M3_MAX)
_SMALLEST_NORMAL = np.float32(2.0**-6)
_CODES_SPACING = np.float32(2.0**-9)
"""between subnormal codes"""
_ROUNDER = np.float32(2.0**14)
"""whose last place is that spacing: what is added to it is rounded there, nearest even"""
_ROUNDER_BITS = np.uint32(_ROUNDER.view(np.uint32))
_REBIAS = np.uint32((127 - 7) << 3)
"""between the exponents of float32 and e4m3, above 3 bits of fraction"""
_INFINITY = np.uint32(0x7F800000)


@njit(inline="always")
def _float(bits):
    return np.uint32(bits).view(np.float32)


@njit(inline="always")
def _bits(value):
    return np.float32(value).view(np.uint32)


@njit(inline="always")
def _code(size):
    """The e4m3 of a float32 >= 0: nearest even, what is beyond 448 is 448, NaN 0x7f."""
    clamped = _MAX if size > _MAX else size
    bits = _bits(clamped)
    odd = (bits >> np.uint32(20)) & np.uint32(1)
    normal = ((bits + np.uint32(0x7FFFF) + odd) >> np.uint32(20)) - _REBIAS
    subnormal = _bits(clamped + _ROUNDER) - _ROUNDER_BITS
    code = subnormal if clamped < _SMALLEST_NORMAL else normal
    return np.uint32(0x7F) if size != size else code


@exact_kernel
def group_scale(numbers, first, count, ue8m0):
    """The scale, float32, of `count` bf16 from numbers[first] on (uint16, flat)."""
    largest = np.uint16(0)
    for i in range(count):
        largest = max(largest, np.uint16(numbers[first + i] & np.uint16(0x7FFF)))  # NaN above all, as integers
    amax = _float(np.uint32(largest) << np.uint32(16))
    scale = (_FLOOR if amax < _FLOOR else amax) / _MAX
    bits = _bits(scale)
    if ue8m0 and bits < _INFINITY:
        return _float((bits + np.uint32(0x7FFFFF)) & _INFINITY)
    return scale


@exact_kernel
def quantize_group(numbers, first, count, scale, codes, codes_first):
    """codes[codes_first + i] = e4m3 of numbers[first + i] / scale for i < count. numbers: uint16 bits of bf16, codes: uint8; flat."""
    for i in range(count):
        bits = np.uint32(numbers[first + i])
        size = _float((bits & np.uint32(0x7FFF)) << np.uint32(16)) / scale
        codes[codes_first + i] = np.uint8(_code(size) | ((bits >> np.uint32(8)) & np.uint32(0x80)))


@exact_kernel
def dequantize_group(codes, first, count, scale, numbers, numbers_first):
    """numbers[numbers_first + i] = bf16 of codes[first + i] · scale, multiplied in float32, rounded to nearest even. codes: uint8,
    numbers: uint16 bits of bf16; flat."""
    for i in range(count):
        code = np.uint32(codes[first + i])
        size = code & np.uint32(0x7F)
        normal = _float((size + _REBIAS) << np.uint32(20))
        value = np.float32(np.int32(size)) * _CODES_SPACING if size < np.uint32(8) else normal
        bits = _bits(value * scale) ^ ((code & np.uint32(0x80)) << np.uint32(24))
        odd = (bits >> np.uint32(16)) & np.uint32(1)
        rounded = (bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)
        is_nan = (size == np.uint32(0x7F)) | ((bits & np.uint32(0x7FFFFFFF)) > _INFINITY)
        numbers[numbers_first + i] = np.uint16(0x7FC0) if is_nan else np.uint16(rounded)
