"""The Triton kernel of `sparse_mla_prefill`.

Work at s_q 4096, h_q 128, k 2048: 2·4096·2048·128·1088 = 2.34 TFLOP, 2.36 ms at 989 TFLOPS; q and out are 1.1 GB, 0.34 ms at
3.35 TB/s; rows gathered by blocks of 64 heads are 19.3 GB, nearly all from L2. A tile of 64 keys × 64 heads has 2176 cycles of
wgmma (4096 FLOP a cycle and SM) in which 73.7 KB arrive, 34 B a cycle: products and L2 are close to balance, and blocks of 32
heads, which gather twice as much, are not.
"""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.triton.triton_rounding import to_bf16
from dsabench.kernels.triton.triton_softmax import LN_2, attend_mla, finish, sink_factor


@triton.jit
def sparse_mla_prefill(
    q_ptr,
    kv_ptr,
    indices_ptr,
    topk_length_ptr,
    sink_ptr,
    out_ptr,
    lse_ptr,
    scale,
    topk,
    s_kv,
    HEADS: tl.constexpr,
    BLOCK_H: tl.constexpr,
    BLOCK_KV: tl.constexpr,
    SWAP: tl.constexpr,
    CT: tl.constexpr,
):
    """One program: BLOCK_H heads of one query over that query's keys.

    q bf16 [s_q, HEADS, 576], kv bf16 [s_kv, 576] (V: the first 512 dims), indices int32 [s_q, topk], topk_length int32 [s_q]
    or None, sink f32 [HEADS] or None, out bf16 [s_q, HEADS, 512], lse f32 [s_q, HEADS] natural; all contiguous.
    scale f32 = sm_scale · log2(e). Grid: (s_q · cdiv(HEADS, BLOCK_H),); the head blocks of a query run side by side, so that
    all but the first find its rows in L2.

    1. Q of the block stays in shared memory: 512 latent and 64 rope dims apart, since 576 is no power of two.
    2. BLOCK_KV indices are loaded; those outside [0, s_kv) or past topk_length are not valid.
    3. Their rows are gathered once (asynchronous copies), zeros where not valid: a row no entry selects may hold NaN.
    4. Scores, online softmax in base 2, and PV from the same tile (triton_softmax.attend_mla).
    5. out is normalised and scaled by the sink; lse = ln 2 · (m + log2 l).
    """
    BLOCKS: tl.constexpr = (HEADS + BLOCK_H - 1) // BLOCK_H
    query = (tl.program_id(0) // BLOCKS).to(tl.int64)
    head = tl.program_id(0) % BLOCKS * BLOCK_H + tl.arange(0, BLOCK_H)
    latent = tl.arange(0, 512)
    rope = tl.arange(0, 64)
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
    indices = indices_ptr + query * topk
    # At least one tile, without a valid key if need be: a path around the loop would meet the last PV still under way behind
    # it, and ptxas would serialize every wgmma (C7515, at BLOCK_KV 32).
    stop = tl.maximum(count, 1)
    for first in range(0, stop, BLOCK_KV):
        index = tl.load(indices + first + entry, mask=first + entry < count, other=-1)
        valid = (index >= 0) & (index < s_kv)
        kv = kv_ptr + tl.where(valid, index, 0).to(tl.int64)[:, None] * 576
        k_latent = tl.load(kv + latent[None, :], mask=valid[:, None], other=0.0)
        k_rope = tl.load(kv + 512 + rope[None, :], mask=valid[:, None], other=0.0)
        m, l, acc = attend_mla(q_latent, q_rope, k_latent, k_rope, valid, first < stop, m, l, acc, scale, SWAP, CT)

    out, lse = finish(m, l, acc, SWAP)
    if sink_ptr is not None:
        out *= sink_factor(lse, tl.load(sink_ptr + head, mask=head < HEADS, other=0.0))[:, None]
    rows = query * HEADS + head
    tl.store(out_ptr + rows[:, None] * 512 + latent[None, :], to_bf16(out, CT), mask=head[:, None] < HEADS)
    tl.store(lse_ptr + rows, lse * LN_2, mask=head < HEADS)
