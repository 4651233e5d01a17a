"""Indexer logits on fp8 tensor cores: a tile of queries stays, keys stream past it.

Contract: REFERENCE §2, `indexer_logits`. Layout: all tensors as they come; a tile's queries are read in the order of
kernels.triton.triton_indexer.

1. A program takes BLOCK_Q queries and a run of keys. Queries and weights stay in shared memory and registers.
2. From the lowest start to the highest end of its queries' windows it streams BLOCK_KV keys at a time through shared memory
   (one stretch, so that the loads pipeline; the windows of neighbouring queries leave no gaps in practice).
3. Each tile is one product [BLOCK_KV, 128] × [128, BLOCK_Q·H]; relu, weights, the sum over heads and k_scale in registers.
4. Columns outside a query's window are written as -inf, the tiles before and after that stretch without reading a key.
5. Every element of the output is written once, by one program.
"""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.triton.triton_indexer import HEAD_DIM, column_head, column_query, weighted_scores


@triton.jit
def indexer_logits_kernel(
    q_ptr,
    keys,
    k_scale_ptr,
    weights_ptr,
    ks_ptr,
    ke_ptr,
    out_ptr,
    s_q,
    s_kv,
    run_keys,
    H: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    BLOCK_KV: tl.constexpr,
    K_LOAD: tl.constexpr,
    CT: tl.constexpr,
):
    """keys: pointer to k, or with K_LOAD == "tma" a descriptor of it with blocks [BLOCK_KV, 128]. run_keys: keys a program,
    a multiple of BLOCK_KV."""
    first_query = tl.program_id(0) * BLOCK_Q
    first = tl.program_id(1) * run_keys
    last = tl.minimum(first + run_keys, s_kv)
    row = first_query + tl.arange(0, BLOCK_Q)
    row_ok = (row < s_q)[None, :]
    # Rows past s_q repeat the last query: their windows add nothing to the tile's, and their scores are not stored.
    query = tl.minimum(row, s_q - 1)
    ks, ke = tl.load(ks_ptr + query), tl.load(ke_ptr + query)
    low = tl.min(tl.where(ks < ke, ks, s_kv)) // BLOCK_KV * BLOCK_KV
    high = tl.cdiv(tl.max(tl.where(ks < ke, ke, 0)), BLOCK_KV) * BLOCK_KV
    begin = tl.minimum(tl.maximum(first, low), last)
    end = tl.maximum(tl.minimum(high, last), begin)

    n = tl.arange(0, BLOCK_KV)
    out = out_ptr + row.to(tl.int64)[None, :] * s_kv + n[:, None]
    if begin < end:  # a program without work need not fetch its queries
        column = tl.minimum(first_query + column_query(BLOCK_Q, H), s_q - 1).to(tl.int64) * H + column_head(BLOCK_Q, H)
        d = tl.arange(0, HEAD_DIM)
        q = tl.load(q_ptr + column[:, None] * HEAD_DIM + d[None, :])
        weights = tl.load(weights_ptr + column)
        for start in range(begin, end, BLOCK_KV):
            key = start + n
            key_ok = key < s_kv
            if K_LOAD == "tma":
                k = keys.load([start, 0])
            else:
                k = tl.load(keys + key[:, None] * HEAD_DIM + d[None, :], mask=key_ok[:, None], other=0.0)
            # Read during the product, needed after it: not worth a pipeline stage (18 instructions more of 392).
            k_scale = tl.load(k_scale_ptr + key, mask=key_ok, other=0.0)
            scores = weighted_scores(k, q, weights, BLOCK_KV, BLOCK_Q, H, CT) * k_scale[:, None]
            inside = (key[:, None] >= ks[None, :]) & (key[:, None] < ke[None, :])
            tl.store(out + start, tl.where(inside, scores, -float("inf")), mask=row_ok & key_ok[:, None])

    unseen = tl.full([BLOCK_KV, BLOCK_Q], -float("inf"), tl.float32)
    for start in range(first, begin, BLOCK_KV):
        tl.store(out + start, unseen, mask=row_ok)
    for start in range(end, last, BLOCK_KV):
        tl.store(out + start, unseen, mask=row_ok & (start + n < s_kv)[:, None])
