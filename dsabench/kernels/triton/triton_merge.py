"""Merge of split-KV partial results into the output of attention."""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.triton.triton_rounding import to_bf16
from dsabench.kernels.triton.triton_softmax import LN_2, sink_factor


@triton.jit
def merge_splits(
    partial_out_ptr,
    partial_lse_ptr,
    sink_ptr,
    out_ptr,
    lse_ptr,
    splits,
    rows,
    heads,
    D_V: tl.constexpr,
    BLOCK_SPLITS: tl.constexpr,
    BLOCK_DV: tl.constexpr,
    CT: tl.constexpr,
):
    """Each split attended to its own keys of a row; the row's output is their mean weighted by 2^lse.

    partial_out f32 [splits, rows, D_V]   each split's softmax-normalised output
    partial_lse f32 [splits, rows]        base-2 log-sum-exp of the scaled scores; -inf where a split saw no key: its
                                          partial_out is not read and may hold anything
    sink        f32 [heads] or None       attention sink of head row % heads, natural units
    out         bf16 [rows, D_V], lse f32 [rows] natural log; a row without any key gives out 0 and lse -inf
    All contiguous. Grid: (rows · D_V / BLOCK_DV,).

    1. A program owns BLOCK_DV dims of one row and reads the lse of all its splits, BLOCK_SPLITS at a time.
    2. weight = 2^(lse − running maximum); partial rows are loaded where the split saw a key.
    3. Sum of weights and weighted sum of rows are rescaled whenever the maximum rises.
    4. out = weighted sum / sum of weights, times exp(lse)/(exp(lse) + exp(sink)).
    The splits are summed in a fixed order: repeats are bitwise equal.
    """
    COLUMNS: tl.constexpr = D_V // BLOCK_DV
    row = (tl.program_id(0) // COLUMNS).to(tl.int64)
    column = tl.program_id(0) % COLUMNS
    d = column * BLOCK_DV + tl.arange(0, BLOCK_DV)
    split = tl.arange(0, BLOCK_SPLITS)

    m = -float("inf")
    total = 0.0
    acc = tl.zeros([BLOCK_DV], tl.float32)
    for first in range(0, splits, BLOCK_SPLITS):
        at = (first + split).to(tl.int64) * rows + row
        lse = tl.load(partial_lse_ptr + at, mask=first + split < splits, other=-float("inf"))
        # Masked by the lse itself: what a split without a key left in partial_out is never touched.
        saw_key = lse != -float("inf")
        part = tl.load(partial_out_ptr + at[:, None] * D_V + d[None, :], mask=saw_key[:, None], other=0.0)
        m_new = tl.maximum(m, tl.max(lse, 0))
        shift = tl.where(m_new == -float("inf"), 0.0, m_new)
        decay = tl.exp2(m - shift)
        weight = tl.exp2(lse - shift)
        total = total * decay + tl.sum(weight, 0)
        acc = acc * decay + tl.sum(part * weight[:, None], 0)
        m = m_new

    lse2 = m + tl.log2(total)  # -inf + -inf where no split saw a key
    factor = 1.0 / tl.where(total > 0, total, 1.0)
    if sink_ptr is not None:
        factor *= sink_factor(lse2, tl.load(sink_ptr + row % heads))
    tl.store(out_ptr + row * D_V + d, to_bf16(acc * factor, CT))
    if column == 0:
        tl.store(lse_ptr + row, lse2 * LN_2)
