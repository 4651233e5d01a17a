"""Dense MLA decode in Triton for Hopper: absorbed attention over a paged bf16 cache, one latent key for all heads."""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.triton.triton_rounding import to_bf16
from dsabench.kernels.triton.triton_softmax import LN_2, update


@triton.jit
def decode(
    q_ptr,
    cache_ptr,
    table_ptr,
    lengths_ptr,
    out_ptr,
    lse_ptr,
    s_q,
    rows,
    max_blocks,
    splits,
    scale,
    HEADS: tl.constexpr,
    PAGE: tl.constexpr,
    CAUSAL: tl.constexpr,
    PARTIAL: tl.constexpr,
    SWAP: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_KV: tl.constexpr,
    CT: tl.constexpr,
):
    """Attention of BLOCK_H of a sequence's rows to one split of its keys (REFERENCE §2, dense MLA decode).

    q        bf16 [b, rows, 576], rows = s_q · HEADS
    cache    bf16 [num_blocks, PAGE, 576]; V is the first 512 dims; slots without a live token may hold NaN
    table    int32 [b, max_blocks]; what stands past a sequence's last block is not read
    lengths  int32 [b], may be 0
    scale    sm_scale · log2(e), f32, of any sign
    out      bf16 [b, rows, 512] and lse f32 [b, rows], natural logarithm;
             PARTIAL: f32 [splits, b, rows, 512] and f32 [splits, b, rows], base 2 (see triton_merge)
    Grid: (b · splits · row tiles,), row tiles fastest: those of one split run together and share its keys through L2.
    CAUSAL: row r sees the first length − (s_q − 1 − r // HEADS) keys.

    1. A split takes an equal part of the sequence's key tiles, cut here from its length.
    2. A step loads BLOCK_KV keys of 512 + 64 dims once, for scores and values; where a page holds whole tiles they are
       contiguous, else each key is looked up in the table.
    3. S = Q·Kᵀ, with SWAP Sᵀ = K·Qᵀ (keys fill wgmma's 64 rows where the queries would not); masked under a branch, which
       only tiles that some row does not see whole take.
    4. Online softmax (triton_softmax.update).
    5. O = decay · O + P·V, with SWAP Oᵀ = decay · Oᵀ + Vᵀ·Pᵀ, V being the tile that is in shared memory already.
    """
    row_tiles = tl.cdiv(rows, BLOCK_H)
    program = tl.program_id(0)
    sequence = program // (row_tiles * splits)
    split = program // row_tiles % splits
    first_row = program % row_tiles * BLOCK_H
    first = sequence.to(tl.int64) * rows + first_row  # of all sequences' rows
    in_tile = tl.arange(0, BLOCK_H)
    main = tl.arange(0, 512)
    rope = tl.arange(0, 64)
    key = tl.arange(0, BLOCK_KV)
    # Past the end the last row again, not a mask: the store would keep its predicates over the loop, which spilled.
    q_rows = q_ptr + first * 576 + tl.minimum(in_tile, rows - 1 - first_row)[:, None] * 576
    q_main = tl.load(q_rows + main[None, :]).to(CT)
    q_rope = tl.load(q_rows + 512 + rope[None, :]).to(CT)

    length = tl.load(lengths_ptr + sequence)
    limit = length  # keys that each row sees
    seen_by_all = length
    if CAUSAL:
        seen_by_all = length - (s_q - 1)
        limit = tl.expand_dims(seen_by_all + (first_row + in_tile) // HEADS, 0 if SWAP else 1)
    key_tiles = tl.cdiv(length, BLOCK_KV)
    begin = key_tiles * split // splits * BLOCK_KV
    end = key_tiles * (split + 1) // splits * BLOCK_KV
    blocks = table_ptr + sequence.to(tl.int64) * max_blocks

    acc = tl.zeros([512, BLOCK_H] if SWAP else [BLOCK_H, 512], tl.float32)
    m = tl.full([BLOCK_H], -float("inf"), tl.float32)
    l = tl.zeros([BLOCK_H], tl.float32)
    for start in tl.range(begin, end, BLOCK_KV):
        position = start + key
        live = position < length
        if PAGE % BLOCK_KV == 0:
            block = tl.load(blocks + start // PAGE).to(tl.int64)
            slots = cache_ptr + (block * PAGE + start % PAGE) * 576 + key * 576
        else:
            block = tl.load(blocks + position // PAGE, mask=live, other=0).to(tl.int64)
            slots = cache_ptr + (block * PAGE + position % PAGE) * 576
        kv_main = tl.load(slots[:, None] + main[None, :], mask=live[:, None], other=0.0).to(CT)
        kv_rope = tl.load(slots[:, None] + 512 + rope[None, :], mask=live[:, None], other=0.0).to(CT)
        # Two products scaled and added, not one accumulated into the other, and a mask under a branch: a product that feeds
        # another along a chain of values gets all its warps along M, and of 64 rows both warpgroups compute every score (76
        # HGMMA a step where 40 do).
        if SWAP:
            s = tl.dot(kv_main, q_main.T) * scale
            s += tl.dot(kv_rope, q_rope.T) * scale
            if start + BLOCK_KV > seen_by_all:
                s = tl.where(position[:, None] < limit, s, -float("inf"))
            m, l, decay, p = update(m, l, s, 0)
            acc = tl.dot(kv_main.T, p.to(CT), acc * decay[None, :])
        else:
            s = tl.dot(q_main, kv_main.T) * scale
            s += tl.dot(q_rope, kv_rope.T) * scale
            if start + BLOCK_KV > seen_by_all:
                s = tl.where(position[None, :] < limit, s, -float("inf"))
            m, l, decay, p = update(m, l, s, 1)
            acc = tl.dot(p.to(CT), kv_main, acc * decay[:, None])

    real = first_row + in_tile < rows
    factor = 1.0 / tl.where(l > 0, l, 1.0)
    if SWAP:
        out = tl.trans(acc * factor[None, :])
    else:
        out = acc * factor[:, None]
    lse = m + tl.log2(l)  # -inf + -inf where the split holds no key of the row
    if PARTIAL:
        first += split.to(tl.int64) * rows * (tl.num_programs(0) // (row_tiles * splits))
        tl.store(out_ptr + first * 512 + in_tile[:, None] * 512 + main[None, :], out, mask=real[:, None])
        tl.store(lse_ptr + first + in_tile, lse, mask=real)
    else:
        tl.store(out_ptr + first * 512 + in_tile[:, None] * 512 + main[None, :], to_bf16(out, CT), mask=real[:, None])
        tl.store(lse_ptr + first + in_tile, lse * LN_2, mask=real)
