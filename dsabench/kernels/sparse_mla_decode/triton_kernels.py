"""The Triton kernel of `sparse_mla_decode`; split results are merged by kernels.triton.triton_merge.

Work at b 128, s_q 2, h_q 128, k 2048: 2·256·2048·128·1088 = 146 GFLOP, 0.148 ms at 989 TFLOPS; 344 MB of gathered rows, 0.10 ms
at 3.35 TB/s. A tile of 64 keys × 64 heads has 2176 cycles of wgmma, and its 32768 codes take a conversion, a product with
the scale and a rounding each before them: dequantizing, not products or memory, is what the kernel has to keep short, so a
tile is dequantized once for both products and for all heads of the block.
"""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.triton.triton_rounding import to_bf16
from dsabench.kernels.triton.triton_softmax import LN_2, attend_mla, finish, sink_factor


@triton.jit
def sparse_mla_decode(
    q_ptr,
    codes_ptr,
    scales_ptr,
    rope_ptr,
    indices_ptr,
    topk_length_ptr,
    sink_ptr,
    out_ptr,
    lse_ptr,
    scale,
    queries,
    topk,
    slots,
    HEADS: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_KV: tl.constexpr,
    SWAP: tl.constexpr,
    PARTIAL: tl.constexpr,
    CT: tl.constexpr,
):
    """One program: BLOCK_H heads of one query over one split of that query's keys.

    q bf16 [queries, HEADS, 576], queries = b · s_q; indices int32 [queries, topk], topk_length int32 [queries] or None. The
    cache [slots, 656 bytes] as three views of one buffer: codes e4m3, scales f32 and rope bf16, with rows of 656, 164 and 328
    elements: 512 codes | 4 scales, one per 128 codes | 64 rope dims. sink f32 [HEADS] or None. scale f32 = sm_scale · log2(e).
    PARTIAL: out f32 [splits, queries, HEADS, 512] and lse f32 [splits, queries, HEADS] in base 2, as merge_splits wants them;
    else the op's own out bf16 and natural lse, of one split. All contiguous. Grid: (queries · cdiv(HEADS, BLOCK_H), splits).

    1. The split's share: whole tiles, as even as they come, of the topk_length entries that count; it may be empty.
    2. Indices outside [0, slots) or past the share are not valid; rows are gathered once, zeros where not valid (NaN there).
    3. Codes are converted and scaled in f32, rounded to bf16 once, and stored to shared memory for both products.
    4. Scores, online softmax in base 2, PV from the same tile (triton_softmax.attend_mla).
    5. out is normalised; without PARTIAL it is scaled by the sink, lse = ln 2 · (m + log2 l).
    """
    BLOCKS: tl.constexpr = (HEADS + BLOCK_H - 1) // BLOCK_H
    query = (tl.program_id(0) // BLOCKS).to(tl.int64)
    head = tl.program_id(0) % BLOCKS * BLOCK_H + tl.arange(0, BLOCK_H)
    split = tl.program_id(1)
    latent = tl.arange(0, 512)
    rope = tl.arange(0, 64)
    group = tl.arange(0, 4)
    entry = tl.arange(0, BLOCK_KV)

    q = q_ptr + query * (HEADS * 576) + head[:, None] * 576
    if HEADS % BLOCK_H == 0:
        q_latent = tl.load(q + latent[None, :])
        q_rope = tl.load(q + 512 + rope[None, :])
    else:
        q_latent = tl.load(q + latent[None, :], mask=head[:, None] < HEADS, other=0.0)
        q_rope = tl.load(q + 512 + rope[None, :], mask=head[:, None] < HEADS, other=0.0)

    m = tl.full([BLOCK_H], float("-inf"), tl.float32)
    l = tl.zeros([BLOCK_H], tl.float32)
    if SWAP:
        acc = tl.zeros([512, BLOCK_H], tl.float32)
    else:
        acc = tl.zeros([BLOCK_H, 512], tl.float32)
    count = topk
    if topk_length_ptr is not None:
        count = tl.minimum(tl.load(topk_length_ptr + query), topk)
    start = 0
    stop = count
    if PARTIAL:
        tiles = tl.cdiv(count, BLOCK_KV)
        splits = tl.num_programs(1)
        # The first tiles % splits shares have a tile more; tiles · split would overflow int32 at long index lists.
        share = tiles // splits
        spare = tiles % splits
        start = (split * share + tl.minimum(split, spare)) * BLOCK_KV
        stop = tl.minimum(start + (share + (split < spare).to(tl.int32)) * BLOCK_KV, count)
    indices = indices_ptr + query * topk
    for first in range(start, stop, BLOCK_KV):
        index = tl.load(indices + first + entry, mask=first + entry < stop, other=-1)
        valid = (index >= 0) & (index < slots)
        slot = tl.where(valid, index, 0).to(tl.int64)[:, None]
        codes = tl.load(codes_ptr + slot * 656 + latent[None, :], mask=valid[:, None], other=0.0)
        scales = tl.load(scales_ptr + slot * 164 + 128 + group[None, :], mask=valid[:, None], other=0.0)
        k_rope = tl.load(rope_ptr + slot * 328 + 264 + rope[None, :], mask=valid[:, None], other=0.0)
        grouped = tl.reshape(codes.to(tl.float32), [BLOCK_KV, 4, 128]) * scales[:, :, None]
        k_latent = to_bf16(tl.reshape(grouped, [BLOCK_KV, 512]), CT)
        m, l, acc = attend_mla(q_latent, q_rope, k_latent, k_rope, valid, first < stop, m, l, acc, scale, SWAP, CT)

    out, lse = finish(m, l, acc, SWAP)
    rows = query * HEADS + head
    stored = head < HEADS
    if PARTIAL:
        rows += split.to(tl.int64) * queries * HEADS
        tl.store(out_ptr + rows[:, None] * 512 + latent[None, :], out, mask=stored[:, None])
        tl.store(lse_ptr + rows, lse, mask=stored)
    else:
        if sink_ptr is not None:
            out *= sink_factor(lse, tl.load(sink_ptr + head, mask=stored, other=0.0))[:, None]
        tl.store(out_ptr + rows[:, None] * 512 + latent[None, :], to_bf16(out, CT), mask=stored[:, None])
        tl.store(lse_ptr + rows, lse * LN_2, mask=stored)
