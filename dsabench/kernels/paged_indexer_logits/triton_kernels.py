"""Paged indexer logits on fp8 tensor cores: the queries of one sequence stay, its key blocks stream past them.

Contract: REFERENCE §2, `paged_indexer_logits`. Layout of a cache block: 64×128 key bytes, then 64 f32 scales; the cache is
passed twice, as e4m3 and as f32 over the same bytes.

1. A program takes BLOCK_Q queries of one sequence and a run of its columns.
2. Up to the longest context of these queries it streams the blocks of the table, one a step; the table's entry and the
   scales are read a step ahead of the keys' product. Entries past the context are not read.
3. A block is one product [64, 128] × [128, BLOCK_Q·H]; relu, weights, the sum over heads and the scale in registers.
4. Columns from a query's context on are written as -inf. Every element of the output is written once, by one program.
"""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.triton.triton_indexer import HEAD_DIM, column_head, column_query, weighted_scores

PAGE = tl.constexpr(64)
PAGE_BYTES = tl.constexpr(64 * 132)
SCALES_OFFSET = tl.constexpr(64 * 128 // 4)
"""where a block's scales begin, in f32"""


@triton.jit
def paged_indexer_logits_kernel(
    q_ptr,
    codes_ptr,
    scales_ptr,
    weights_ptr,
    context_lens_ptr,
    block_table_ptr,
    out_ptr,
    next_n,
    max_blocks,
    max_context_len,
    run_keys,
    H: tl.constexpr,
    BLOCK_Q: tl.constexpr,
    CT: tl.constexpr,
):
    """codes_ptr, scales_ptr: the cache as e4m3 and as f32. run_keys: columns a program, a multiple of 64."""
    query_tiles = tl.cdiv(next_n, BLOCK_Q)
    sequence = (tl.program_id(0) // query_tiles).to(tl.int64)
    first_query = tl.program_id(0) % query_tiles * BLOCK_Q
    first = tl.program_id(1) * run_keys
    last = tl.minimum(first + run_keys, max_context_len)
    query = first_query + tl.arange(0, BLOCK_Q)
    row = sequence * next_n + query
    row_ok = (query < next_n)[None, :]
    # Queries past next_n repeat the last one; their scores are not stored.
    context_lens = tl.load(context_lens_ptr + sequence * next_n + tl.minimum(query, next_n - 1))
    end = tl.maximum(tl.minimum(tl.cdiv(tl.max(context_lens), PAGE) * PAGE, last), first)

    n = tl.arange(0, PAGE)
    out = out_ptr + row[None, :] * max_context_len + n[:, None]
    if first < end:  # a program past the context need not fetch its queries
        table = block_table_ptr + sequence * max_blocks
        following = tl.load(table + first // PAGE)
        next_scale = tl.load(scales_ptr + following.to(tl.int64) * (PAGE_BYTES // 4) + SCALES_OFFSET + n)
        tile_query = tl.minimum(first_query + column_query(BLOCK_Q, H), next_n - 1)
        column = (sequence * next_n + tile_query) * H + column_head(BLOCK_Q, H)
        d = tl.arange(0, HEAD_DIM)
        q = tl.load(q_ptr + column[:, None] * HEAD_DIM + d[None, :])
        weights = tl.load(weights_ptr + column)
        for start in range(first, end, PAGE):
            block, scale = following, next_scale
            # The pipeline asks for keys before their step; asking for the table's entry a step earlier still, it need not wait
            # for it. The last step has no entry to ask for and takes its own block for the next.
            following = tl.load(table + (start // PAGE + 1), mask=start + PAGE < end, other=block)
            next_scale = tl.load(scales_ptr + following.to(tl.int64) * (PAGE_BYTES // 4) + SCALES_OFFSET + n)
            k = tl.load(codes_ptr + block.to(tl.int64) * PAGE_BYTES + n[:, None] * HEAD_DIM + d[None, :])
            scores = weighted_scores(k, q, weights, PAGE, BLOCK_Q, H, CT) * scale[:, None]
            key = start + n
            inside = key[:, None] < context_lens[None, :]
            stored = row_ok & (key < max_context_len)[:, None]
            tl.store(out + start, tl.where(inside, scores, -float("inf")), mask=stored)

    unseen = tl.full([PAGE, BLOCK_Q], -float("inf"), tl.float32)
    for start in range(end, last, PAGE):
        tl.store(out + start, unseen, mask=row_ok & (start + n < max_context_len)[:, None])
