"""Device functions that the plain and the paged indexer kernels share: Σ_h weights · relu(q · k) on fp8 tensor cores.

Keys are the left operand: one product is [BLOCK_KV, 128] × [128, BLOCK_Q·H] for BLOCK_Q queries of H heads. wgmma gives a
thread two neighbouring columns of every eight, four threads share the eight (PTX ISA, wgmma accumulator D). A tile's queries
are therefore dealt to these four threads: of four queries every thread has one with all of its heads, and the sum over heads
is adds in registers. Queries one after the other would take two shuffles for every key and query, and repeat each sum four times.
"""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

HEAD_DIM = tl.constexpr(128)


@triton.jit
def column_query(BLOCK_Q: tl.constexpr, H: tl.constexpr):
    """Which of the tile's queries stands in each column of a product: int32 [BLOCK_Q·H], in [0, BLOCK_Q)."""
    DEALT: tl.constexpr = min(BLOCK_Q, 4)
    column = tl.arange(0, BLOCK_Q * H)
    return column // (DEALT * H) * DEALT + column // 2 % DEALT


@triton.jit
def column_head(BLOCK_Q: tl.constexpr, H: tl.constexpr):
    """Which head stands in each column of a product: int32 [BLOCK_Q·H], in [0, H)."""
    DEALT: tl.constexpr = min(BLOCK_Q, 4)
    column = tl.arange(0, BLOCK_Q * H)
    return column // (2 * DEALT) % (H // 2) * 2 + column % 2


@triton.jit
def operand(codes, CT: tl.constexpr):
    """e4m3 codes as an operand of tl.dot: on a GPU they are one. Triton's interpreter takes NaN codes for 480: there they are
    decoded to float32. CT: kernels.triton.compute_type.COMPUTE."""
    if CT == tl.float32:
        is_nan = (codes.to(tl.uint8, bitcast=True) & 0x7F) == 0x7F
        codes = tl.where(is_nan, float("nan"), codes.to(tl.float32))
    return codes


@triton.jit
def weighted_scores(k, q, weights, BLOCK_KV: tl.constexpr, BLOCK_Q: tl.constexpr, H: tl.constexpr, CT: tl.constexpr):
    """f32 [BLOCK_KV, BLOCK_Q] of k e4m3 [BLOCK_KV, 128], q e4m3 [BLOCK_Q·H, 128] and weights f32 [BLOCK_Q·H], the latter two
    in the order of `column_query` and `column_head`. A NaN code makes its scores NaN. CT: see `operand`."""
    DEALT: tl.constexpr = min(BLOCK_Q, 4)
    heads = tl.dot(operand(k, CT), operand(q, CT).T)
    # max(x, 0) gives 0 for NaN unless told otherwise; max.NaN costs no more (FMNMX.NAN).
    heads = tl.maximum(heads, 0.0, propagate_nan=tl.PropagateNan.ALL) * weights[None, :]
    heads = heads.reshape(BLOCK_KV, BLOCK_Q // DEALT, H // 2, DEALT, 2).permute(0, 1, 3, 2, 4)
    return tl.sum(heads.reshape(BLOCK_KV, BLOCK_Q, H), axis=2)
