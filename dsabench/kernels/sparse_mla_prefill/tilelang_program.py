"""Sparse MLA prefill in TileLang for Hopper, in two forms.

Contract: REFERENCE §2, `sparse MLA, prefill`. q bf16 [s_q, HEADS, 576], kv bf16 [s_kv, 576] (V: the first 512 dims), indices int32
[s_q, topk], topk_length int32 [s_q] (HAS_LENGTH), attn_sink f32 [HEADS] (HAS_SINK) -> out bf16 [1, s_q, HEADS, 512], lse f32
[1, s_q, HEADS] natural; all contiguous. scale f32 = sm_scale · log2(e). Grid: (s_q · cdiv(HEADS, 64),): a block has 64 heads of one
query, and the head blocks of a query run side by side, so that all but the first find its rows in L2.

1. Q of the block stays in shared memory; a ring of NUM_STAGES tiles of BLOCK_N keys stands beside it.
2. Entries past topk_length or outside [0, s_kv) are not valid: their rows are zeros (a row that no entry selects may hold NaN).
3. Rows are gathered once, 16 bytes a thread by cp.async, 8 threads a row, and the tile serves QKᵀ and PV.
4. Online softmax in base 2; a row without a key keeps maximum -inf and sum 0.
5. out is normalised and scaled by the sink; lse = ln 2 · (m + log2 l).

`specialized`: a warpgroup gathers, two compute (kernels.tilelang.absorbed_mla). `uniform`: two warpgroups gather ahead and compute,
each half of the keys in QKᵀ and half of the latent dims in PV.
"""
# mypy: ignore-errors

# No `from __future__ import annotations`: TileLang evaluates the parameters' annotations, which name local variables.

import tilelang.language as T  # noqa: N812

from dsabench.kernels.tilelang.absorbed_mla import (
    BLOCK_H,
    CONSUMERS,
    LEFT_REGISTERS,
    LN_2,
    RIGHT_REGISTERS,
    WARPGROUP,
    apply_sink,
    attend_left,
    attend_right,
    finish_softmax,
    hand_over,
    load_queries,
    scale_rows,
    store_half,
    store_lse,
    update_softmax,
)

_PRODUCER_REGISTERS = 104
_ROW_THREADS = 8
"""that copy a row, 16 bytes each: a row of the 128-byte swizzle, without bank conflicts"""
_COLUMNS = 64


@T.macro
def _load_indices(index, indices, query, first, count, s_kv, thread, rows):
    """Entries first + thread / 8 + r · rows of a query to index int32 [BLOCK_N / rows]; -1 for what is not valid."""
    for r in T.unroll(index.shape[0]):
        index[r] = -1
        if first + r * rows + thread // _ROW_THREADS < count:
            index[r] = indices[query, first + r * rows + thread // _ROW_THREADS]
        if index[r] >= s_kv:
            index[r] = -1


@T.macro
def _gather(index, kv, kv_tile, valid, stage, thread, rows):
    """Copies of the rows in `index` to a stage of kv_tile, zeros where it is negative; none is waited for."""
    column = thread % _ROW_THREADS * 8
    for r in T.unroll(index.shape[0]):
        if column == 0:
            valid[stage, r * rows + thread // _ROW_THREADS] = T.if_then_else(index[r] >= 0, 1, 0)
    for r in T.unroll(index.shape[0]):
        for u in T.unroll(kv.shape[1] // _COLUMNS):
            T.ptx_cp_async(
                T.access_ptr(kv_tile[stage, r * rows + thread // _ROW_THREADS, u * _COLUMNS + column], "w", 8),
                T.access_ptr(kv[T.max(index[r], 0), u * _COLUMNS + column], "r", 8),
                8,
                predicate=index[r] >= 0,
            )


def specialized(HEADS, BLOCK_N, NUM_STAGES, HAS_SINK, HAS_LENGTH, LATENT, ROPE):
    D, HALF = LATENT + ROPE, LATENT // 2
    BLOCKS = -(-HEADS // BLOCK_H)
    ROWS = WARPGROUP // _ROW_THREADS
    s_q, s_kv, topk = T.dynamic("s_q"), T.dynamic("s_kv"), T.dynamic("topk")

    @T.prim_func
    def sparse_mla_prefill(
        q: T.Tensor((s_q, HEADS, D), "bfloat16"),
        kv: T.Tensor((s_kv, D), "bfloat16"),
        indices: T.Tensor((s_q, topk), "int32"),
        topk_length: T.Tensor((s_q,), "int32"),
        attn_sink: T.Tensor((HEADS,), "float32"),
        out: T.Tensor((1, s_q, HEADS, LATENT), "bfloat16"),
        lse: T.Tensor((1, s_q, HEADS), "float32"),
        scale: T.float32,
    ):
        with T.Kernel(s_q * BLOCKS, threads=CONSUMERS + WARPGROUP) as block:
            q_tile = T.alloc_shared((BLOCK_H, D), "bfloat16")
            kv_tile = T.alloc_shared((NUM_STAGES, BLOCK_N, D), "bfloat16")
            p_tile = T.alloc_shared((BLOCK_H, BLOCK_N), "bfloat16")
            valid = T.alloc_shared((NUM_STAGES, BLOCK_N), "int32")
            decay_tile = T.alloc_shared((BLOCK_H,), "float32")
            left = T.alloc_fragment((BLOCK_H, HALF), "float32")
            right = T.alloc_fragment((BLOCK_H, HALF), "float32")
            m = T.alloc_fragment((BLOCK_H,), "float32")
            l = T.alloc_fragment((BLOCK_H,), "float32")
            factor = T.alloc_fragment((BLOCK_H,), "float32")
            # A producer arrives twice: when its copies have landed, and when `valid` is written.
            kv_ready = T.alloc_barrier([2 * WARPGROUP] * NUM_STAGES)
            kv_free = T.alloc_barrier([CONSUMERS] * NUM_STAGES)
            p_ready = T.alloc_barrier(WARPGROUP)
            p_free = T.alloc_barrier(WARPGROUP)

            query = block // BLOCKS
            head = block % BLOCKS * BLOCK_H
            count = T.alloc_var("int32")
            count = topk
            if HAS_LENGTH:
                count = T.min(topk_length[query], topk)
            tiles = T.ceildiv(count, BLOCK_N)
            thread = T.get_thread_binding()
            load_queries(q, q_tile, query, head)
            if thread < WARPGROUP:
                T.set_max_nreg(LEFT_REGISTERS, 1)
                attend_left(
                    tiles,
                    q_tile,
                    kv_tile,
                    valid,
                    p_tile,
                    decay_tile,
                    kv_ready,
                    kv_free,
                    p_ready,
                    p_free,
                    scale,
                    left,
                    m,
                    l,
                )
                finish_softmax(m, l, factor)
                if HAS_SINK:
                    apply_sink(m, factor, attn_sink, head)
                hand_over(tiles, factor, decay_tile, p_ready, p_free)
                store_lse(m, lse, 0, query, head, LN_2)
                scale_rows(left, factor)
                store_half(left, q_tile, out, 0, query, head, 0, 1)
            elif thread < CONSUMERS:
                T.set_max_nreg(RIGHT_REGISTERS, 0)
                attend_right(tiles, kv_tile, p_tile, decay_tile, kv_ready, kv_free, p_ready, p_free, right)
                T.barrier_wait(p_ready, tiles & 1)
                scale_rows(right, decay_tile)
                store_half(right, q_tile, out, 0, query, head, HALF, 2)
            else:
                T.set_max_nreg(_PRODUCER_REGISTERS, 0)
                index = T.alloc_local((BLOCK_N // ROWS,), "int32")
                for t in T.serial(tiles):
                    _load_indices(index, indices, query, t * BLOCK_N, count, s_kv, thread - CONSUMERS, ROWS)
                    T.barrier_wait(kv_free[t % NUM_STAGES], ((t // NUM_STAGES) & 1) ^ 1)
                    _gather(index, kv, kv_tile, valid, t % NUM_STAGES, thread - CONSUMERS, ROWS)
                    T.cp_async_barrier_noinc(kv_ready[t % NUM_STAGES])
                    T.barrier_arrive(kv_ready[t % NUM_STAGES])

    return sparse_mla_prefill


def uniform(HEADS, BLOCK_N, NUM_STAGES, HAS_SINK, HAS_LENGTH, LATENT, ROPE):
    D = LATENT + ROPE
    BLOCKS = -(-HEADS // BLOCK_H)
    ROWS = CONSUMERS // _ROW_THREADS
    AHEAD = NUM_STAGES - 1
    BY_COLUMNS = T.GemmWarpPolicy.FullCol
    s_q, s_kv, topk = T.dynamic("s_q"), T.dynamic("s_kv"), T.dynamic("topk")

    @T.prim_func
    def sparse_mla_prefill(
        q: T.Tensor((s_q, HEADS, D), "bfloat16"),
        kv: T.Tensor((s_kv, D), "bfloat16"),
        indices: T.Tensor((s_q, topk), "int32"),
        topk_length: T.Tensor((s_q,), "int32"),
        attn_sink: T.Tensor((HEADS,), "float32"),
        out: T.Tensor((1, s_q, HEADS, LATENT), "bfloat16"),
        lse: T.Tensor((1, s_q, HEADS), "float32"),
        scale: T.float32,
    ):
        with T.Kernel(s_q * BLOCKS, threads=CONSUMERS) as block:
            q_tile = T.alloc_shared((BLOCK_H, D), "bfloat16")
            kv_tile = T.alloc_shared((NUM_STAGES, BLOCK_N, D), "bfloat16")
            p_tile = T.alloc_shared((BLOCK_H, BLOCK_N), "bfloat16")
            valid = T.alloc_shared((NUM_STAGES, BLOCK_N), "int32")
            scores = T.alloc_fragment((BLOCK_H, BLOCK_N), "float32")
            acc = T.alloc_fragment((BLOCK_H, LATENT), "float32")
            m = T.alloc_fragment((BLOCK_H,), "float32")
            m_old = T.alloc_fragment((BLOCK_H,), "float32")
            decay = T.alloc_fragment((BLOCK_H,), "float32")
            l = T.alloc_fragment((BLOCK_H,), "float32")
            l_tile = T.alloc_fragment((BLOCK_H,), "float32")
            index = T.alloc_local((BLOCK_N // ROWS,), "int32")

            query = block // BLOCKS
            head = block % BLOCKS * BLOCK_H
            count = T.alloc_var("int32")
            count = topk
            if HAS_LENGTH:
                count = T.min(topk_length[query], topk)
            tiles = T.ceildiv(count, BLOCK_N)
            thread = T.get_thread_binding()
            load_queries(q, q_tile, query, head)
            T.fill(acc, 0)
            T.fill(m, -T.infinity("float32"))
            T.fill(l, 0)
            for t in T.unroll(AHEAD):
                _load_indices(index, indices, query, t * BLOCK_N, count, s_kv, thread, ROWS)
                _gather(index, kv, kv_tile, valid, t, thread, ROWS)
                T.ptx_commit_group()
            for t in T.serial(tiles):
                T.ptx_wait_group(AHEAD - 1)
                T.sync_threads()  # tile t is whole, and all have left the stage that is filled next
                _load_indices(index, indices, query, (t + AHEAD) * BLOCK_N, count, s_kv, thread, ROWS)
                _gather(index, kv, kv_tile, valid, (t + AHEAD) % NUM_STAGES, thread, ROWS)
                T.ptx_commit_group()
                T.fence_proxy_async()
                T.wgmma_gemm(
                    q_tile, kv_tile[t % NUM_STAGES, :, :], scores, transpose_B=True, clear_accum=True, policy=BY_COLUMNS
                )
                T.wait_wgmma(0)
                for h, i in T.Parallel(BLOCK_H, BLOCK_N):
                    scores[h, i] = T.if_then_else(
                        valid[t % NUM_STAGES, i] != 0, scores[h, i] * scale, -T.infinity("float32")
                    )
                update_softmax(scores, m, m_old, decay)
                T.copy(scores, p_tile)
                T.reduce_sum(scores, l_tile, dim=1)
                for h in T.Parallel(BLOCK_H):
                    l[h] = l[h] * decay[h] + l_tile[h]
                scale_rows(acc, decay)
                T.fence_proxy_async()
                T.sync_threads()
                T.wgmma_gemm(p_tile, kv_tile[t % NUM_STAGES, :, :LATENT], acc, policy=BY_COLUMNS)
                T.wait_wgmma(0)
            finish_softmax(m, l, decay)
            if HAS_SINK:
                apply_sink(m, decay, attn_sink, head)
            store_lse(m, lse, 0, query, head, LN_2)
            scale_rows(acc, decay)
            T.ptx_wait_group(0)
            T.sync_threads()
            T.copy(acc, q_tile[:, :LATENT])
            T.sync_threads()
            for h, d in T.Parallel(BLOCK_H, LATENT):
                if head + h < HEADS:
                    out[0, query, head + h, d] = q_tile[h, d]

    return sparse_mla_prefill
