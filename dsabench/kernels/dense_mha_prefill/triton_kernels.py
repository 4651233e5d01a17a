"""Dense MHA prefill in Triton for Hopper: flash attention of one head, 192 dims scored, 128 dims summed."""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.triton.triton_rounding import to_bf16
from dsabench.kernels.triton.triton_softmax import LN_2


@triton.jit
def prefill(
    q_ptr,
    k_main,
    k_rope,
    values,
    out_ptr,
    lse_ptr,
    s_q,
    s_kv,
    heads,
    splits,
    scale,
    CAUSAL: tl.constexpr,
    NEGATIVE: tl.constexpr,
    PARTIAL: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_KV: tl.constexpr,
    CT: tl.constexpr,
):
    """Attention of BLOCK_Q queries of one head to one split of the keys (REFERENCE §2, dense MHA).

    q       bf16 [s_q, heads, 192]
    k_main  descriptor of k bf16 [s_kv, heads · 192], box [BLOCK_KV, 128]; k_rope the same, box [BLOCK_KV, 64]
    values  descriptor of v bf16 [s_kv, heads · 128], box [BLOCK_KV, 128]; rows past s_kv arrive as zeros in all three
    scale   |sm_scale| · log2(e), f32 > 0; NEGATIVE: sm_scale < 0
    out     bf16 [s_q, heads, 128] and lse f32 [s_q, heads], natural logarithm;
            PARTIAL: f32 [splits, s_q, heads, 128] and f32 [splits, s_q, heads], base 2 (see triton_merge)
    Grid: (query tiles · heads, splits). CAUSAL: query t sees the first s_kv − (s_q − 1 − t) keys.

    1. Programs go head by head, so that the few heads at work at a time keep their keys in L2; within a head the last
       queries, which see most keys, come first.
    2. A step loads BLOCK_KV keys of 192 = 128 + 64 dims (tiles are powers of two) and their values by TMA, once.
    3. S = Q·Kᵀ; masked under a branch, which only the tiles that cross the diagonal or the end take; tiles past the diagonal
       are not in the loop.
    4. Online softmax on unscaled scores: 2^(scale · s − scale · max) is one FFMA and one MUFU an element.
    5. O = decay · O + P·V with P from registers.
    """
    query_tiles = tl.cdiv(s_q, BLOCK_Q)
    head = tl.program_id(0) // query_tiles
    first = (query_tiles - 1 - tl.program_id(0) % query_tiles) * BLOCK_Q
    split = tl.program_id(1)
    query = first + tl.arange(0, BLOCK_Q)
    row = query.to(tl.int64) * heads + head
    real = query < s_q
    main = tl.arange(0, 128)
    rope = tl.arange(0, 64)
    q_main = tl.load(q_ptr + row[:, None] * 192 + main[None, :], mask=real[:, None], other=0.0).to(CT)
    q_rope = tl.load(q_ptr + row[:, None] * 192 + 128 + rope[None, :], mask=real[:, None], other=0.0).to(CT)

    limit = tl.zeros([BLOCK_Q], tl.int32) + s_kv  # keys that each query sees
    seen_by_all = s_kv
    seen_by_any = s_kv
    if CAUSAL:
        limit = tl.minimum(limit, s_kv - s_q + 1 + query)
        seen_by_all = s_kv - s_q + 1 + first
        seen_by_any = tl.minimum(s_kv, seen_by_all + BLOCK_Q - 1)
    key_tiles = tl.cdiv(seen_by_any, BLOCK_KV)
    begin = key_tiles * split // splits * BLOCK_KV
    end = key_tiles * (split + 1) // splits * BLOCK_KV

    acc = tl.zeros([BLOCK_Q, 128], tl.float32)
    m = tl.full([BLOCK_Q], -float("inf"), tl.float32)
    l = tl.zeros([BLOCK_Q], tl.float32)
    # One loop with a branch, not a loop for full tiles and one for masked ones: with two, ptxas serializes every wgmma (C7515).
    for start in tl.range(begin, end, BLOCK_KV):
        s = tl.dot(q_main, k_main.load([start, head * 192]).to(CT).T)
        s = tl.dot(q_rope, k_rope.load([start, head * 192 + 128]).to(CT).T, s)
        if NEGATIVE:
            s = -s
        if start + BLOCK_KV > seen_by_all:
            s = tl.where((start + tl.arange(0, BLOCK_KV))[None, :] < limit[:, None], s, -float("inf"))
        m_new = tl.maximum(m, tl.max(s, 1))
        shift = tl.where(m_new == -float("inf"), 0.0, m_new * scale)
        decay = tl.exp2(m * scale - shift)
        p = tl.exp2(s * scale - shift[:, None])
        l = l * decay + tl.sum(p, 1)
        # Loaded here, not with the keys: its wait stands where the load stands, and V arrives under the products and the softmax.
        v = values.load([start, head * 128]).to(CT)
        acc = tl.dot(p.to(CT), v, acc * decay[:, None])
        m = m_new

    out = acc * (1.0 / tl.where(l > 0, l, 1.0))[:, None]
    lse = m * scale + tl.log2(l)  # -inf + -inf where the split holds no key of the query
    if PARTIAL:
        row += split.to(tl.int64) * s_q * heads
        tl.store(out_ptr + row[:, None] * 128 + main[None, :], out, mask=real[:, None])
        tl.store(lse_ptr + row, lse, mask=real)
    else:
        tl.store(out_ptr + row[:, None] * 128 + main[None, :], to_bf16(out, CT), mask=real[:, None])
        tl.store(lse_ptr + row, lse * LN_2, mask=real)
