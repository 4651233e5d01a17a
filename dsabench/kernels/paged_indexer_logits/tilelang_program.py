"""Paged indexer logits on fp8 tensor cores in TileLang: the queries of one sequence stay, its key blocks stream past them.

Contract: REFERENCE §2, `paged_indexer_logits`. Layout of a cache block of BLOCK_BYTES: BLOCK_TOKENS·DIM key bytes, from
SCALES_OFFSET on BLOCK_TOKENS f32 scales; the cache is passed twice, as e4m3 and as f32 over the same bytes.

1. A block takes BLOCK_Q queries of one sequence and a run of run_tiles cache blocks, whose entries of the table it reads in one go,
   up to the longest context of these queries; entries past it are not read.
2. PAGES cache blocks a step, keys and scales, stream through a ring of NUM_STAGES tiles of shared memory by cp.async. The tile that a
   step asks for goes where the last step's was: one barrier a step.
3. A step is one product [PAGES·64, 128] × [128, BLOCK_Q·HEADS]; relu, weights, the sum over heads and the scales in registers.
4. Columns from a query's context on are written as -inf. Every element of the output is written once, by one block.

The pass configs of `impl_tilelang` leave out TileLang's own barriers and bounds: those here are all there are.
"""

# mypy: ignore-errors

import tilelang.language as T  # noqa: N812

from dsabench.kernels.tilelang.indexer_scores import THREADS, Deal, define_relu, sum_heads


def paged_indexer_logits(HEADS, DIM, BLOCK_Q, PAGES, NUM_STAGES, MAX_RUN, BLOCK_TOKENS, BLOCK_BYTES, SCALES_OFFSET):
    """MAX_RUN: the most that run_tiles is, room for its entries of the table."""
    deal = Deal(BLOCK_Q, HEADS)
    b, rows = T.dynamic("b"), T.dynamic("rows")
    num_blocks, max_blocks, width = T.dynamic("num_blocks"), T.dynamic("max_blocks"), T.dynamic("max_context_len")
    AHEAD = NUM_STAGES - 1
    BLOCK_KV = PAGES * BLOCK_TOKENS
    ASYNC = {"parallel_async_without_async_commit_wait": True}

    @T.macro
    def fetch(codes, scales, table, ring, scale_ring, step, blocks):
        for p in T.unroll(PAGES):
            if step * PAGES + p < blocks:
                entry = T.alloc_var("int32")
                entry = table[step * PAGES + p]
                block = T.cast(entry, "int64")
                for n, d in T.Parallel(BLOCK_TOKENS, DIM, prefer_async=True, annotations=ASYNC):
                    ring[step % NUM_STAGES, p * BLOCK_TOKENS + n, d] = codes[block, n * DIM + d]
                for n in T.Parallel(BLOCK_TOKENS, prefer_async=True, annotations=ASYNC):
                    scale_ring[step % NUM_STAGES, p * BLOCK_TOKENS + n] = scales[block, SCALES_OFFSET // 4 + n]
        T.ptx_commit_group()

    @T.prim_func
    def paged_indexer_logits(
        q: T.Tensor((rows, HEADS, DIM), "float8_e4m3fn"),
        codes: T.Tensor((num_blocks, BLOCK_BYTES), "float8_e4m3fn"),
        scales: T.Tensor((num_blocks, BLOCK_BYTES // 4), "float32"),
        weights: T.Tensor((rows, HEADS), "float32"),
        context_lens: T.Tensor((rows,), "int32"),
        block_table: T.Tensor((b, max_blocks), "int32"),
        out: T.Tensor((rows, width), "float32"),
        next_n: T.int32,
        run_tiles: T.int32,
    ):
        with T.Kernel(b * T.ceildiv(next_n, BLOCK_Q), T.ceildiv(width, BLOCK_TOKENS * run_tiles), threads=THREADS) as (
            tile,
            run,
        ):
            define_relu()
            q_tile = T.alloc_shared((deal.columns, DIM), "float8_e4m3fn")
            ring = T.alloc_shared((NUM_STAGES, BLOCK_KV, DIM), "float8_e4m3fn")
            scale_ring = T.alloc_shared((NUM_STAGES, BLOCK_KV), "float32")
            table = T.alloc_shared((MAX_RUN,), "int32")
            scores = T.alloc_fragment((BLOCK_KV, deal.columns), "float32")
            head_weights = T.alloc_fragment(deal.shape, "float32")
            stop = T.alloc_fragment((deal.sets, deal.dealt), "int32")
            scale = T.alloc_fragment((BLOCK_KV,), "float32")
            halves = T.alloc_fragment((BLOCK_KV, deal.sets, deal.lanes, deal.dealt, 2), "float32")
            lanes = T.alloc_fragment((BLOCK_KV, deal.sets, deal.lanes, deal.dealt), "float32")
            total = T.alloc_fragment((BLOCK_KV, deal.sets, deal.dealt), "float32")
            longest = T.alloc_var("int32")

            # Variables: TileLang would divide anew wherever they are used.
            sequence = T.alloc_var("int32")
            sequence = T.truncdiv(tile, T.truncdiv(next_n + (BLOCK_Q - 1), BLOCK_Q))
            first_query = T.alloc_var("int32")
            first_query = (tile - sequence * T.truncdiv(next_n + (BLOCK_Q - 1), BLOCK_Q)) * BLOCK_Q
            first_row = sequence * next_n + first_query
            last_row = (
                sequence * next_n + next_n - 1
            )  # queries past next_n repeat the last one; their scores are not stored
            first = run * (BLOCK_TOKENS * run_tiles)
            last = T.min(first + BLOCK_TOKENS * run_tiles, width)
            longest = 0
            for i in T.unroll(BLOCK_Q):
                longest = T.max(longest, context_lens[T.min(first_row + i, last_row)])
            blocks = T.max(T.ceildiv(T.min(longest, last) - first, BLOCK_TOKENS), 0)
            steps = T.ceildiv(blocks, PAGES)

            if steps > 0:  # a block past the context need not fetch its queries
                for n in T.Parallel(MAX_RUN):
                    if n < blocks:
                        table[n] = block_table[T.cast(sequence, "int64"), run * run_tiles + n]
                T.sync_threads()
                for s in T.unroll(AHEAD):
                    fetch(codes, scales, table, ring, scale_ring, s, blocks)
                for n, d in T.Parallel(deal.columns, DIM):
                    q_tile[n, d] = q[T.cast(T.min(first_row + deal.query(n), last_row), "int64"), deal.head(n), d]
                for a, g, l, c, e in T.Parallel(*deal.shape):
                    head_weights[a, g, l, c, e] = weights[
                        T.cast(T.min(first_row + a * deal.dealt + c, last_row), "int64"), (g * deal.lanes + l) * 2 + e
                    ]
                for a, c in T.Parallel(deal.sets, deal.dealt):
                    stop[a, c] = context_lens[T.min(first_row + a * deal.dealt + c, last_row)]
                for t in T.serial(steps):
                    T.ptx_wait_group(AHEAD - 1)
                    T.fence_proxy_async()  # what this thread wrote to shared memory, for wgmma to read
                    T.sync_threads()
                    T.wgmma_gemm(
                        ring[t % NUM_STAGES, :, :],
                        q_tile,
                        scores,
                        transpose_B=True,
                        clear_accum=True,
                        policy=T.GemmWarpPolicy.FullRow,
                    )
                    fetch(codes, scales, table, ring, scale_ring, t + AHEAD, blocks)
                    for n in T.Parallel(BLOCK_KV):
                        scale[n] = scale_ring[t % NUM_STAGES, n]
                    T.wait_wgmma(0)
                    T.warpgroup_fence_operand(scores, num_regs=BLOCK_KV * deal.columns // THREADS)
                    sum_heads(deal, BLOCK_KV, scores, head_weights, halves, lanes, total)
                    for n, a, c in T.Parallel(BLOCK_KV, deal.sets, deal.dealt):
                        query = first_query + a * deal.dealt + c
                        key = first + t * BLOCK_KV + n
                        if query < next_n and key < last:
                            out[T.cast(first_row + a * deal.dealt + c, "int64"), key] = T.Select(
                                key < stop[a, c], total[n, a, c] * scale[n], -T.infinity("float32")
                            )
            tail = first + steps * BLOCK_KV
            for t in T.serial(T.ceildiv(last - tail, THREADS)):
                for i, n in T.Parallel(BLOCK_Q, THREADS):
                    if first_query + i < next_n and tail + t * THREADS + n < last:
                        out[T.cast(first_row + i, "int64"), tail + t * THREADS + n] = -T.infinity("float32")

    return paged_indexer_logits
