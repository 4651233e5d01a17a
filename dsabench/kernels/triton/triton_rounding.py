"""Rounding to bf16 that is right in Triton's interpreter too."""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def to_bf16(x, CT: tl.constexpr):
    """f32 x as bf16, to nearest even. CT: kernels.triton.compute_type.COMPUTE; float32 stands for the interpreter, whose own
    conversion differs from the GPU's in half of the values."""
    if CT == tl.float32:
        bits = x.to(tl.uint32, bitcast=True)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
        x = tl.where(x == x, rounded.to(tl.uint32).to(tl.float32, bitcast=True), x)
    return x.to(tl.bfloat16)
