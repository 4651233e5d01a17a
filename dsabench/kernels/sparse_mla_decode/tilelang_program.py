"""Sparse MLA decode in TileLang for Hopper over the 656-byte fp8 cache: `attend`, and `merge` of what its splits left.

Contract: REFERENCE §2, `sparse MLA, decode`. q bf16 [queries, HEADS, 576], queries = b · s_q; the cache as three views of one buffer,
with rows of TOKEN_BYTES, a quarter and a half of it: codes e4m3, scales f32 and rope bf16 [slots, ·]: 512 codes | 4 scales, one per
128 codes | 64 rope dims (offsets as constants, kernels.kv_cache); indices int32 [queries, topk], topk_length int32 [queries]
(HAS_LENGTH), attn_sink f32 [HEADS] (HAS_SINK); scale f32 = sm_scale · log2(e). PARTIAL: out f32 [splits, queries, HEADS, 512] and
lse f32 [splits, queries, HEADS] in base 2, for `merge`; else the op's own out bf16 and natural lse, of one split. All contiguous.
Grid: (queries · cdiv(HEADS, 64), splits): a block has 64 heads of one query and a share of its keys.

1. The split's share: whole tiles, as even as they come, of the topk_length entries that count; it may be empty.
2. A warpgroup produces tiles of BLOCK_N keys, zeros where an entry is not valid (an unused slot holds NaN): 4 threads a token,
   16 codes a load; the next 32 tokens' codes and the indices behind them are on their way while these are converted.
3. code · scale in f32, rounded to bf16 once, to shared memory for both products; rope dims by cp.async.
4. Two warpgroups compute, online softmax in base 2 (kernels.tilelang.absorbed_mla).
5. out is normalised; without PARTIAL it is scaled by the sink, lse = ln 2 · (m + log2 l).
"""
# mypy: ignore-errors

# No `from __future__ import annotations`: TileLang evaluates the parameters' annotations, which name local variables.

import tilelang.language as T  # noqa: N812

from dsabench.kernels.tilelang.absorbed_mla import (
    BLOCK_H,
    CONSUMERS,
    LEFT_REGISTERS,
    LN_2,
    LOG2_E,
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
)

_PRODUCER_REGISTERS = {32: 112, 64: 96}
"""A thread, by BLOCK_N. ptxas moves conversions together as far as registers go and, given 128, a few further: 4 to 12 bytes spill."""
_ROW_THREADS = 4
"""that produce a row. Two rows of 4 threads store to 8 different 16-byte columns of the swizzled tile: no bank conflicts, where
8 threads a row of 16 codes each would meet in four columns."""
_CODES = 16
"""a thread's load"""


def attend(
    HEADS,
    BLOCK_N,
    NUM_STAGES,
    PARTIAL,
    HAS_SINK,
    HAS_LENGTH,
    LATENT,
    ROPE,
    GROUP,
    SCALE_OFFSET,
    ROPE_OFFSET,
    TOKEN_BYTES,
):
    D, HALF = LATENT + ROPE, LATENT // 2
    BLOCKS = -(-HEADS // BLOCK_H)
    ROWS = WARPGROUP // _ROW_THREADS
    STEPS = BLOCK_N // ROWS
    COLUMNS = _ROW_THREADS * _CODES
    PIECES, GROUPS = LATENT // COLUMNS, LATENT // GROUP
    queries, slots, topk, splits = T.dynamic("queries"), T.dynamic("slots"), T.dynamic("topk"), T.dynamic("splits")

    @T.macro
    def load_index(index, a, indices, query, entry, count):
        """index[a]: the slot of an entry, -1 for what is not valid."""
        index[a] = -1
        if entry < count:
            index[a] = indices[query, entry]
        if index[a] >= slots:
            index[a] = -1

    @T.macro
    def load_token(code, factor, codes, scales, slot, column):
        """A thread's codes of a token and the scales of all, zeros for slot -1."""
        for u in T.unroll(PIECES):
            for v in T.vectorized(_CODES):
                code[u, v] = T.float8_e4m3fn(0)
        for g in T.vectorized(GROUPS):
            factor[g] = T.float32(0)
        if slot >= 0:
            for g in T.vectorized(GROUPS):
                factor[g] = scales[slot, SCALE_OFFSET // 4 + g]
            for u in T.unroll(PIECES):
                for v in T.vectorized(_CODES):
                    code[u, v] = codes[slot, u * COLUMNS + column + v]

    @T.prim_func
    def sparse_mla_decode(
        q: T.Tensor((queries, HEADS, D), "bfloat16"),
        codes: T.Tensor((slots, TOKEN_BYTES), "float8_e4m3fn"),
        scales: T.Tensor((slots, TOKEN_BYTES // 4), "float32"),
        rope: T.Tensor((slots, TOKEN_BYTES // 2), "bfloat16"),
        indices: T.Tensor((queries, topk), "int32"),
        topk_length: T.Tensor((queries,), "int32"),
        attn_sink: T.Tensor((HEADS,), "float32"),
        out: T.Tensor((splits, queries, HEADS, LATENT), "float32" if PARTIAL else "bfloat16"),
        lse: T.Tensor((splits, queries, HEADS), "float32"),
        scale: T.float32,
    ):
        with T.Kernel(queries * BLOCKS, splits, threads=CONSUMERS + WARPGROUP) as (block, split):
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
            # At each step a producer arrives twice: when its copies have landed, and when it has stored what it converted.
            kv_ready = T.alloc_barrier([2 * WARPGROUP * STEPS] * NUM_STAGES)
            kv_free = T.alloc_barrier([CONSUMERS] * NUM_STAGES)
            p_ready = T.alloc_barrier(WARPGROUP)
            p_free = T.alloc_barrier(WARPGROUP)

            query = block // BLOCKS
            head = block % BLOCKS * BLOCK_H
            count = T.alloc_var("int32")
            count = topk
            if HAS_LENGTH:
                count = T.min(topk_length[query], topk)
            # The first `spare` shares have a tile more; tiles · split would overflow int32 at long index lists.
            share = T.ceildiv(count, BLOCK_N) // splits
            spare = T.ceildiv(count, BLOCK_N) % splits
            start = (split * share + T.min(split, spare)) * BLOCK_N
            tiles = share + T.if_then_else(split < spare, 1, 0)
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
                store_lse(m, lse, split, query, head, 1.0 if PARTIAL else LN_2)
                scale_rows(left, factor)
                store_half(left, q_tile, out, split, query, head, 0, 1)
            elif thread < CONSUMERS:
                T.set_max_nreg(RIGHT_REGISTERS, 0)
                attend_right(tiles, kv_tile, p_tile, decay_tile, kv_ready, kv_free, p_ready, p_free, right)
                T.barrier_wait(p_ready, tiles & 1)
                scale_rows(right, decay_tile)
                store_half(right, q_tile, out, split, query, head, HALF, 2)
            else:
                T.set_max_nreg(_PRODUCER_REGISTERS[BLOCK_N], 0)
                row = (thread - CONSUMERS) // _ROW_THREADS
                column = (thread - CONSUMERS) % _ROW_THREADS * _CODES
                code = T.alloc_local((PIECES, _CODES), "float8_e4m3fn")
                next_code = T.alloc_local((PIECES, _CODES), "float8_e4m3fn")
                token_scales = T.alloc_local((GROUPS,), "float32")
                next_scales = T.alloc_local((GROUPS,), "float32")
                index = T.alloc_local((3,), "int32")  # of this step, the next, and the one after it
                load_index(index, 1, indices, query, start + row, count)
                load_index(index, 2, indices, query, start + ROWS + row, count)
                load_token(next_code, next_scales, codes, scales, index[1], column)
                for step in T.serial(tiles * STEPS):
                    stage = step // STEPS % NUM_STAGES
                    token = step % STEPS * ROWS + row
                    for u in T.unroll(PIECES):
                        for v in T.vectorized(_CODES):
                            code[u, v] = next_code[u, v]
                    for g in T.vectorized(GROUPS):
                        token_scales[g] = next_scales[g]
                    index[0] = index[1]
                    index[1] = index[2]
                    load_token(next_code, next_scales, codes, scales, index[1], column)
                    load_index(index, 2, indices, query, start + (step + 2) * ROWS + row, count)
                    T.barrier_wait(kv_free[stage], ((step // STEPS // NUM_STAGES) & 1) ^ 1)
                    if column == 0:
                        valid[stage, token] = T.if_then_else(index[0] >= 0, 1, 0)
                    for half in T.unroll(2):
                        T.ptx_cp_async(
                            T.access_ptr(kv_tile[stage, token, LATENT + column + half * 8], "w", 8),
                            T.access_ptr(rope[T.max(index[0], 0), ROPE_OFFSET // 2 + column + half * 8], "r", 8),
                            8,
                            predicate=index[0] >= 0,
                        )
                    T.cp_async_barrier_noinc(kv_ready[stage])
                    for u in T.unroll(PIECES):
                        for v in T.vectorized(_CODES):
                            kv_tile[stage, token, u * COLUMNS + column + v] = T.cast(
                                T.cast(code[u, v], "float32") * token_scales[u * COLUMNS // GROUP], "bfloat16"
                            )
                    T.fence_proxy_async()
                    T.barrier_arrive(kv_ready[stage])

    return sparse_mla_decode


def merge(HEADS, HAS_SINK, LATENT):
    """partial_out f32 [splits, rows, 512], each split's normalised output; partial_lse f32 [splits, rows], base 2, -inf where a split
    saw no key: its partial_out is not read; row r belongs to head r % HEADS -> out bf16 [rows, 512], lse f32 [rows] natural. The
    splits are summed in a fixed order. Grid: (rows,), 4 dims a thread."""
    splits, rows = T.dynamic("splits"), T.dynamic("rows")

    @T.prim_func
    def merge_splits(
        partial_out: T.Tensor((splits, rows, LATENT), "float32"),
        partial_lse: T.Tensor((splits, rows), "float32"),
        attn_sink: T.Tensor((HEADS,), "float32"),
        out: T.Tensor((rows, LATENT), "bfloat16"),
        lse: T.Tensor((rows,), "float32"),
    ):
        with T.Kernel(rows, threads=LATENT // 4) as row:
            acc = T.alloc_fragment((LATENT,), "float32")
            m = T.alloc_var("float32")
            total = T.alloc_var("float32")
            weight = T.alloc_var("float32")
            factor = T.alloc_var("float32")
            m = -T.infinity("float32")
            total = 0.0
            T.fill(acc, 0)
            for split in T.serial(splits):
                m = T.max(m, partial_lse[split, row])
            for split in T.serial(splits):
                weight = partial_lse[split, row]
                if weight > -T.infinity("float32"):
                    weight = T.exp2(weight - m)
                    total += weight
                    for d in T.Parallel(LATENT):
                        acc[d] += weight * partial_out[split, row, d]
            m = m + T.log2(total)
            factor = 1.0 / T.if_then_else(total > 0, total, T.float32(1))
            if HAS_SINK:
                sink = attn_sink[row % HEADS]
                if T.And(sink > -T.infinity("float32"), m > -T.infinity("float32")):
                    factor = factor / (1.0 + T.exp2(sink * T.float32(LOG2_E) - m))
            for d in T.Parallel(LATENT):
                out[row, d] = acc[d] * factor
            if T.get_thread_binding() == 0:
                lse[row] = m * T.float32(LN_2)

    return merge_splits
