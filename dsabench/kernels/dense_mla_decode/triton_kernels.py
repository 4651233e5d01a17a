"""Dense MLA decode in Triton for Hopper: absorbed attention over a paged bf16 cache, one latent key for all heads."""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.triton.triton_rounding import to_bf16
from dsabench.kernels.triton.triton_softmax import LN_2, update


@triton.jit
def load_dims(
    boxes,
    block,
    box_row,
    slots,
    live,
    FIRST: tl.constexpr,
    DIMS: tl.constexpr,
    BLOCK_KV: tl.constexpr,
    CT: tl.constexpr,
):
    """Dims FIRST to FIRST + DIMS of a tile of keys, [BLOCK_KV, DIMS]: a box by TMA, without boxes the `slots` that are live."""
    if boxes is not None:
        keys = boxes.load([block, box_row, FIRST]).reshape([BLOCK_KV, DIMS])
    else:
        keys = tl.load(slots[:, None] + FIRST + tl.arange(0, DIMS)[None, :], mask=live[:, None], other=0.0)
    return keys.to(CT)


@triton.jit
def decode(
    q_ptr,
    cache_ptr,
    boxes,
    rope_boxes,
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
    boxes    where PAGE is a multiple of BLOCK_KV descriptors of the cache for TMA, boxes [1, BLOCK_KV, 256 if SWAP else 512] and
             [1, BLOCK_KV, 64]; else None
    table    int32 [b, max_blocks]; what stands past a sequence's last block is not read
    lengths  int32 [b], may be 0
    scale    sm_scale · log2(e), f32, of any sign
    out      bf16 [b, rows, 512] and lse f32 [b, rows], natural logarithm;
             PARTIAL: f32 [splits, b, rows, 512] and f32 [splits, b, rows], base 2 (see triton_merge)
    Grid: (b · splits · row tiles,), row tiles fastest: those of one split run together and share its keys through L2.
    CAUSAL: row r sees the first length − (s_q − 1 − r // HEADS) keys.

    1. A split takes an equal part of the sequence's key tiles, cut here from its length.
    2. A step loads BLOCK_KV keys of 512 + 64 dims once, for scores and values: boxes of one page by TMA, else each key is
       looked up in the table.
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
    key = tl.arange(0, BLOCK_KV)
    DV: tl.constexpr = 256 if SWAP else 512  # dims of V summed by one product
    dims = tl.arange(0, DV)
    # Past the end the last row again, not a mask: the store would keep its predicates over the loop, which spilled.
    q_rows = q_ptr + first * 576 + tl.minimum(in_tile, rows - 1 - first_row)[:, None] * 576
    q_low = tl.load(q_rows + dims[None, :]).to(CT)
    q_rope = tl.load(q_rows + 512 + tl.arange(0, 64)[None, :]).to(CT)
    if SWAP:
        q_high = tl.load(q_rows + DV + dims[None, :]).to(CT)
        high = tl.zeros([DV, BLOCK_H], tl.float32)

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

    low = tl.zeros([DV, BLOCK_H] if SWAP else [BLOCK_H, DV], tl.float32)
    m = tl.full([BLOCK_H], -float("inf"), tl.float32)
    l = tl.zeros([BLOCK_H], tl.float32)
    # TMA: the block of the next tile is asked for one step ahead, or the look-up would stand before every box.
    following = tl.load(blocks + begin // PAGE, mask=begin < end, other=0)
    for start in tl.range(begin, end, BLOCK_KV):
        position = start + key
        if boxes is not None:
            # The box of a tile that is not full ends at the last live token. Its first rows are then earlier tokens, which are
            # masked, or lie before the page, where TMA gives zeros: no slot without a live token is ever read.
            back = tl.minimum(length - start, BLOCK_KV) - BLOCK_KV
            block = following
            box_row = start % PAGE + back
            following = tl.load(blocks + (start + BLOCK_KV) // PAGE, mask=start + BLOCK_KV < end, other=0)
            position += back
            live = position >= start
            slots = key
        else:
            box_row = 0
            live = position < length
            block = tl.load(blocks + position // PAGE, mask=live, other=0).to(tl.int64)
            slots = cache_ptr + (block * PAGE + position % PAGE) * 576
        # Products scaled and added, not accumulated into one another, and a mask under a branch: a product that feeds another
        # along a chain of values gets all its warps along M, and of 64 rows both warpgroups compute every score (76 HGMMA a
        # step where 40 do). Each load stands before its product: so does its wait, and with TMA the first products run while
        # the rest of the tile arrives.
        kv_rope = load_dims(rope_boxes, block, box_row, slots, live, 512, 64, BLOCK_KV, CT)
        if SWAP:
            s = tl.dot(kv_rope, q_rope.T) * scale
            kv_low = load_dims(boxes, block, box_row, slots, live, 0, DV, BLOCK_KV, CT)
            s += tl.dot(kv_low, q_low.T) * scale
            kv_high = load_dims(boxes, block, box_row, slots, live, DV, DV, BLOCK_KV, CT)
            s += tl.dot(kv_high, q_high.T) * scale
            if start + BLOCK_KV > seen_by_all:
                s = tl.where(live[:, None] & (position[:, None] < limit), s, -float("inf"))
            m, l, decay, p = update(m, l, s, 0)
            low = tl.dot(kv_low.T, p.to(CT), low * decay[None, :])
            high = tl.dot(kv_high.T, p.to(CT), high * decay[None, :])
        else:
            s = tl.dot(q_rope, kv_rope.T) * scale
            kv = load_dims(boxes, block, box_row, slots, live, 0, DV, BLOCK_KV, CT)
            s += tl.dot(q_low, kv.T) * scale
            if start + BLOCK_KV > seen_by_all:
                s = tl.where(live[None, :] & (position[None, :] < limit), s, -float("inf"))
            m, l, decay, p = update(m, l, s, 1)
            low = tl.dot(p.to(CT), kv, low * decay[:, None])

    real = first_row + in_tile < rows
    factor = 1.0 / tl.where(l > 0, l, 1.0)
    lse = m + tl.log2(l)  # -inf + -inf where the split holds no key of the row
    if PARTIAL:
        first += split.to(tl.int64) * rows * (tl.num_programs(0) // (row_tiles * splits))
    else:
        lse *= LN_2
    tl.store(lse_ptr + first + in_tile, lse, mask=real)
    out_rows = out_ptr + first * 512 + in_tile[:, None] * 512 + dims[None, :]
    if SWAP:
        store_dims(out_rows, tl.trans(low * factor[None, :]), real, PARTIAL, CT)
        store_dims(out_rows + DV, tl.trans(high * factor[None, :]), real, PARTIAL, CT)
    else:
        store_dims(out_rows, low * factor[:, None], real, PARTIAL, CT)


@triton.jit
def store_dims(rows, values, real, PARTIAL: tl.constexpr, CT: tl.constexpr):
    """values f32 [BLOCK_H, dims] to the rows that are real, as bf16 unless they are partial results."""
    tl.store(rows, values if PARTIAL else to_bf16(values, CT), mask=real[:, None])
