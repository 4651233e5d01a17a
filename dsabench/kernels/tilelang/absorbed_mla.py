"""The consumer warpgroups of absorbed MLA in TileLang: 64 heads of one query, tiles of keys that other warps put in shared memory.

Of a tile of 64 keys: QKᵀ 64 × 64 × 576 and PV 64 × 512 × 64, 2176 cycles of wgmma (4096 FLOP a cycle and SM). The accumulator,
64 × 512 f32, is 128 registers a thread over two warpgroups, each of which owns half of the latent dims. `left` alone computes
scores: as m64n64k16 they read 128 bytes of shared memory a cycle, which it delivers; shared out as n32 they would read 192.
Weights reach `right` through shared memory.

Barriers, completed once a tile: kv_ready[stage] (kv_tile and valid are written), kv_free[stage] (both consumers are done with them:
256 arrivals), p_ready (128: `left` wrote p_tile and decay_tile), p_free (128: `right` has read them). No other barrier is needed
before the results are stored, and PASS_CONFIGS keeps TileLang from adding three a tile.
Source: the accumulator in two warpgroups is FlashMLA's (its "deep dive", 2025-04); the scores in one of them TileLang's
example of sparse MLA (examples/deepseek_v32).
"""

# mypy: ignore-errors

# No `from __future__ import annotations`: TileLang evaluates the parameters' annotations, which name local variables.

import math

import tilelang.language as T  # noqa: N812

BLOCK_H = 64
"""Rows of wgmma; fewer heads are padded with zero queries. 128 would be an accumulator of the whole register file."""
WARPGROUP = 128
CONSUMERS = 2 * WARPGROUP
LEFT_REGISTERS, RIGHT_REGISTERS = 200, 160
"""A thread; ptxas takes 184 and 151. With a third warpgroup a block is started with 168 each, so 144 are left for it."""
LN_2 = math.log(2)
LOG2_E = math.log2(math.e)


@T.macro
def load_queries(q, q_tile, query, head):
    """q bf16 [queries, heads, 576] → q_tile bf16 [64, 576]: heads from `head` on, zeros past the last. By all threads, with a
    barrier behind it."""
    for h, d in T.Parallel(BLOCK_H, q.shape[2]):
        q_tile[h, d] = T.if_then_else(head + h < q.shape[1], q[query, head + h, d], T.bfloat16(0))
    T.sync_threads()


@T.macro
def update_softmax(scores, m, m_old, decay):
    """scores f32 [64, BLOCK_N], base 2, -inf where there is no key → weights; m f32 [64], the running maximum, is raised; decay:
    factor of what was accumulated so far. A row that has seen no key has m = -inf, weights 0 and decay 0."""
    T.copy(m, m_old)
    T.reduce_max(scores, m, dim=1, clear=False)
    for h in T.Parallel(scores.shape[0]):
        # Any finite shift will do for a row without a key; -inf - -inf would be NaN.
        decay[h] = T.if_then_else(m[h] == -T.infinity("float32"), T.float32(0), m[h])
    for h, i in T.Parallel(scores.shape[0], scores.shape[1]):
        scores[h, i] = T.exp2(scores[h, i] - decay[h])
    for h in T.Parallel(scores.shape[0]):
        decay[h] = T.exp2(m_old[h] - decay[h])


@T.macro
def finish_softmax(m, l, factor):
    """m, l f32 [64]: maximum and sum → m: lse, base 2; factor: of the accumulator. A row without a key: -inf and 1."""
    for h in T.Parallel(m.shape[0]):
        m[h] = m[h] + T.log2(l[h])
        factor[h] = 1.0 / T.if_then_else(l[h] > 0, l[h], T.float32(1))


@T.macro
def apply_sink(m, factor, attn_sink, head):
    """factor *= exp(lse) / (exp(lse) + exp(sink)), lse in base 2 in m f32 [64], attn_sink f32 [heads] in base e. A sink of -inf, and
    a row without a key, whose output is 0 already, change nothing."""
    for h in T.Parallel(m.shape[0]):
        sink = attn_sink[T.min(head + h, attn_sink.shape[0] - 1)]
        none = T.Or(sink == -T.infinity("float32"), m[h] == -T.infinity("float32"))
        factor[h] *= T.if_then_else(none, T.float32(1), 1.0 / (1.0 + T.exp2(sink * T.float32(LOG2_E) - m[h])))


@T.macro
def attend_left(
    tiles, q_tile, kv_tile, valid, p_tile, decay_tile, kv_ready, kv_free, p_ready, p_free, scale, left, m, l
):
    """Warpgroup 0, over `tiles` tiles: scores, softmax and the left half of the output.

    q_tile bf16 [64, 576]; kv_tile bf16 [STAGES, BLOCK_N, 576], zeros where not valid; valid int32 [STAGES, BLOCK_N]; p_tile bf16
    [64, BLOCK_N]; decay_tile f32 [64]; scale f32 = sm_scale · log2(e). Fragments, f32: left [64, 256], not normalised; m, l [64]."""
    STAGES, BLOCK_N, HALF = kv_tile.shape[0], kv_tile.shape[1], left.shape[1]
    scores = T.alloc_fragment((BLOCK_H, BLOCK_N), "float32")
    m_old = T.alloc_fragment((BLOCK_H,), "float32")
    decay = T.alloc_fragment((BLOCK_H,), "float32")
    l_tile = T.alloc_fragment((BLOCK_H,), "float32")
    T.fill(left, 0)
    T.fill(m, -T.infinity("float32"))
    T.fill(l, 0)
    for t in T.serial(tiles):
        T.barrier_wait(kv_ready[t % STAGES], (t // STAGES) & 1)
        T.fence_proxy_async()
        T.wgmma_gemm(q_tile, kv_tile[t % STAGES, :, :], scores, transpose_B=True, clear_accum=True)
        T.wait_wgmma(0)
        for h, i in T.Parallel(BLOCK_H, BLOCK_N):
            scores[h, i] = T.if_then_else(valid[t % STAGES, i] != 0, scores[h, i] * scale, -T.infinity("float32"))
        update_softmax(scores, m, m_old, decay)
        T.barrier_wait(p_free, (t & 1) ^ 1)
        T.copy(decay, decay_tile)
        T.copy(scores, p_tile)
        T.fence_proxy_async()
        T.barrier_arrive(p_ready)
        T.reduce_sum(scores, l_tile, dim=1)
        for h in T.Parallel(BLOCK_H):
            l[h] = l[h] * decay[h] + l_tile[h]
        for h, d in T.Parallel(BLOCK_H, HALF):
            left[h, d] *= decay[h]
        T.barrier_wait(p_ready, t & 1)
        T.wgmma_gemm(p_tile, kv_tile[t % STAGES, :, :HALF], left)
        T.wait_wgmma(0)
        T.barrier_arrive(kv_free[t % STAGES])


@T.macro
def attend_right(tiles, kv_tile, p_tile, decay_tile, kv_ready, kv_free, p_ready, p_free, right):
    """Warpgroup 1: the right half of the output, f32 [64, 256] in `right`, not normalised; the others as in `attend_left`."""
    STAGES, HALF = kv_tile.shape[0], right.shape[1]
    T.fill(right, 0)
    for t in T.serial(tiles):
        T.barrier_wait(kv_ready[t % STAGES], (t // STAGES) & 1)
        T.barrier_wait(p_ready, t & 1)
        T.fence_proxy_async()
        for h, d in T.Parallel(BLOCK_H, HALF):
            right[h, d] *= decay_tile[h]
        T.wgmma_gemm(p_tile, kv_tile[t % STAGES, :, HALF : 2 * HALF], right)
        T.wait_wgmma(0)
        T.barrier_arrive(p_free)
        T.barrier_arrive(kv_free[t % STAGES])


@T.macro
def hand_over(tiles, factor, decay_tile, p_ready, p_free):
    """Warpgroup 0 behind its last tile: factor f32 [64], for `take_over`."""
    T.barrier_wait(p_free, (tiles & 1) ^ 1)
    T.copy(factor, decay_tile)
    T.barrier_arrive(p_ready)


@T.macro
def store_half(half, staged, out, split, query, head, begin, barrier):
    """half f32 [64, 256] in one warpgroup → out [splits, queries, heads, 512] from dim `begin` on. bf16 goes by way of the query's
    shared memory (bf16 [64, 576], all of whose products are done), for rows of 16 bytes a thread; f32 fills sectors as it is. barrier:
    a hardware barrier of the warpgroup's own."""
    if out.dtype == "bfloat16":
        T.copy(half, staged[:, begin : begin + half.shape[1]])
        T.sync_threads(barrier, WARPGROUP)
    for h, d in T.Parallel(BLOCK_H, half.shape[1]):
        if head + h < out.shape[2]:
            if out.dtype == "bfloat16":
                out[split, query, head + h, begin + d] = staged[h, begin + d]
            else:
                out[split, query, head + h, begin + d] = half[h, d]


@T.macro
def scale_rows(half, factor):
    """half f32 [64, n] *= factor f32 [64], a fragment or in shared memory."""
    for h, d in T.Parallel(BLOCK_H, half.shape[1]):
        half[h, d] *= factor[h]


@T.macro
def store_lse(m, lse, split, query, head, unit):
    """lse f32 [splits, queries, heads] = m · unit, from `head` on."""
    for h in T.Parallel(BLOCK_H):
        if head + h < lse.shape[2]:
            lse[split, query, head + h] = m[h] * T.float32(unit)
