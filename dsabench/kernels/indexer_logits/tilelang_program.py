"""Indexer logits on fp8 tensor cores in TileLang: a tile of queries stays, keys stream past it.

Contract: REFERENCE §2, `indexer_logits`. Layout: all tensors as they come; a tile's queries stand in shared memory in the order of
kernels.tilelang.indexer_scores. None overlaps `out`.

1. A block takes BLOCK_Q queries and a run of run_tiles·BLOCK_KV keys. Queries stay in shared memory, weights and windows in registers.
2. From the lowest start to the highest end of its queries' windows it streams BLOCK_KV keys a step through a ring of NUM_STAGES tiles
   of shared memory by cp.async. The tile that a step asks for goes where the last step's was: one barrier a step.
3. A step is one product [BLOCK_KV, 128] × [128, BLOCK_Q·HEADS]; relu, weights, the sum over heads and k_scale in registers.
4. Columns outside a query's window are written as -inf, the tiles before and after that stretch without reading a key.
5. Every element of the output is written once, by one block.

The pass configs of `impl_tilelang` leave out TileLang's own barriers and bounds: those here are all there are.
"""

# mypy: ignore-errors

import tilelang.language as T  # noqa: N812

from dsabench.kernels.tilelang.indexer_scores import THREADS, Deal, define_relu, sum_heads


def indexer_logits(HEADS, DIM, BLOCK_Q, BLOCK_KV, NUM_STAGES, MAX_CONTEXT):
    """MAX_CONTEXT: of s_q and s_kv; up to 2²⁰ the offsets of keys and scales are 32-bit. Those of queries and the output are not."""
    deal = Deal(BLOCK_Q, HEADS)
    s_q, s_kv = T.dynamic("s_q"), T.dynamic("s_kv")
    AHEAD = NUM_STAGES - 1

    @T.macro
    def fetch(k, ring, tile, begin, end):
        for n, d in T.Parallel(
            BLOCK_KV, DIM, prefer_async=True, annotations={"parallel_async_without_async_commit_wait": True}
        ):
            if begin + tile * BLOCK_KV + n < end:
                ring[tile % NUM_STAGES, n, d] = k[begin + tile * BLOCK_KV + n, d]
        T.ptx_commit_group()

    @T.macro
    def write_unseen(out, first_query, begin, end):
        for t in T.serial(T.ceildiv(end - begin, THREADS)):
            for i, n in T.Parallel(BLOCK_Q, THREADS):
                if first_query + i < s_q and begin + t * THREADS + n < end:
                    out[T.cast(first_query + i, "int64"), begin + t * THREADS + n] = -T.infinity("float32")

    @T.prim_func
    def indexer_logits(
        q: T.Tensor((s_q, HEADS, DIM), "float8_e4m3fn"),
        k: T.Tensor((s_kv, DIM), "float8_e4m3fn"),
        k_scale: T.Tensor((s_kv,), "float32"),
        weights: T.Tensor((s_q, HEADS), "float32"),
        ks: T.Tensor((s_q,), "int32"),
        ke: T.Tensor((s_q,), "int32"),
        out: T.Tensor((s_q, s_kv), "float32"),
        run_tiles: T.int32,
    ):
        with T.Kernel(T.ceildiv(s_q, BLOCK_Q), T.ceildiv(s_kv, BLOCK_KV * run_tiles), threads=THREADS) as (tile, run):
            define_relu()
            T.assume(s_q > 0)
            T.assume(s_q <= MAX_CONTEXT)
            T.assume(s_kv > 0)
            T.assume(s_kv <= MAX_CONTEXT)
            q_tile = T.alloc_shared((deal.columns, DIM), "float8_e4m3fn")
            ring = T.alloc_shared((NUM_STAGES, BLOCK_KV, DIM), "float8_e4m3fn")
            scores = T.alloc_fragment((BLOCK_KV, deal.columns), "float32")
            head_weights = T.alloc_fragment(deal.shape, "float32")
            start = T.alloc_fragment((deal.sets, deal.dealt), "int32")
            stop = T.alloc_fragment((deal.sets, deal.dealt), "int32")
            scale = T.alloc_fragment((BLOCK_KV,), "float32")
            halves = T.alloc_fragment((BLOCK_KV, deal.sets, deal.lanes, deal.dealt, 2), "float32")
            lanes = T.alloc_fragment((BLOCK_KV, deal.sets, deal.lanes, deal.dealt), "float32")
            total = T.alloc_fragment((BLOCK_KV, deal.sets, deal.dealt), "float32")
            low = T.alloc_var("int32")
            high = T.alloc_var("int32")

            first_query = tile * BLOCK_Q
            first = run * (BLOCK_KV * run_tiles)
            last = T.min(first + BLOCK_KV * run_tiles, s_kv)
            low = MAX_CONTEXT
            high = 0
            for i in T.unroll(BLOCK_Q):
                # Rows past s_q repeat the last query: their windows add nothing to the tile's, and their scores are not stored.
                window_start = ks[T.min(first_query + i, s_q - 1)]
                window_end = ke[T.min(first_query + i, s_q - 1)]
                low = T.min(low, T.if_then_else(window_start < window_end, window_start, low))
                high = T.max(high, T.if_then_else(window_start < window_end, window_end, high))
            begin = T.min(T.max(first, low // BLOCK_KV * BLOCK_KV), last)
            end = T.max(T.min(high, last), begin)
            tiles = T.ceildiv(end - begin, BLOCK_KV)

            if tiles > 0:  # a block without work need not fetch its queries
                for s in T.unroll(AHEAD):
                    fetch(k, ring, s, begin, end)
                for n, d in T.Parallel(deal.columns, DIM):
                    q_tile[n, d] = q[T.cast(T.min(first_query + deal.query(n), s_q - 1), "int64"), deal.head(n), d]
                for a, g, l, c, e in T.Parallel(*deal.shape):
                    head_weights[a, g, l, c, e] = weights[
                        T.min(first_query + a * deal.dealt + c, s_q - 1), (g * deal.lanes + l) * 2 + e
                    ]
                for a, c in T.Parallel(deal.sets, deal.dealt):
                    start[a, c] = ks[T.min(first_query + a * deal.dealt + c, s_q - 1)]
                    stop[a, c] = ke[T.min(first_query + a * deal.dealt + c, s_q - 1)]
                for t in T.serial(tiles):
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
                    fetch(k, ring, t + AHEAD, begin, end)
                    for n in T.Parallel(BLOCK_KV):
                        scale[n] = k_scale[T.min(begin + t * BLOCK_KV + n, s_kv - 1)]
                    T.wait_wgmma(0)
                    T.warpgroup_fence_operand(scores, num_regs=BLOCK_KV * deal.columns // THREADS)
                    sum_heads(deal, BLOCK_KV, scores, head_weights, halves, lanes, total)
                    for n, a, c in T.Parallel(BLOCK_KV, deal.sets, deal.dealt):
                        query = first_query + a * deal.dealt + c
                        key = begin + t * BLOCK_KV + n
                        if query < s_q and key < s_kv:
                            out[T.cast(query, "int64"), key] = T.Select(
                                T.And(start[a, c] <= key, key < stop[a, c]),
                                total[n, a, c] * scale[n],
                                -T.infinity("float32"),
                            )
            write_unseen(out, first_query, first, begin)
            write_unseen(out, first_query, begin + tiles * BLOCK_KV, last)

    return indexer_logits
