"""The dtype of tl.dot operands that are bf16 on a GPU."""

from __future__ import annotations

import triton.language as tl

from dsabench.kernels.triton.runtime import interpreting

COMPUTE = tl.float32 if interpreting() else tl.bfloat16
"""Pass as a constexpr `CT` and write `tl.dot(a.to(CT), b.to(CT))`. Triton's interpreter computes bf16 products and arithmetic
on the raw bits, silently wrong; compiled, the conversion is none."""
