"""Online softmax in base 2: the update of running maximum and sum by one tile of scores, and what turns them into lse and output.

Scores are scaled by sm_scale · log2(e), so that weights are exp2 of them: one MUFU instruction an element. A row that has seen
no key has maximum -inf and sum 0.
"""

# mypy: allow-incomplete-defs

from __future__ import annotations

import math

import triton
import triton.language as tl

LOG2_E: tl.constexpr = tl.constexpr(math.log2(math.e))
LN_2: tl.constexpr = tl.constexpr(math.log(2.0))


@triton.jit
def update(m, l, scores, KEY_AXIS: tl.constexpr):
    """One tile of `scores` f32, base 2, -inf where there is no key; its axis KEY_AXIS runs over keys, the other over rows.
    m, l f32 [rows]: maximum and sum so far.

    -> (m, l, decay f32 [rows], the factor of what was accumulated so far; weights f32, of the shape of scores)"""
    m_new = tl.maximum(m, tl.max(scores, KEY_AXIS))
    # Any finite shift will do for a row without a key; -inf - -inf would be NaN.
    shift = tl.where(m_new == float("-inf"), 0.0, m_new)
    decay = tl.exp2(m - shift)
    weights = tl.exp2(scores - tl.expand_dims(shift, KEY_AXIS))
    return m_new, l * decay + tl.sum(weights, KEY_AXIS), decay, weights


@triton.jit
def sink_factor(lse, sink):
    """exp(lse) / (exp(lse) + exp(sink)) for lse in base 2 and sink in base e, f32. sink -inf gives 1, +inf gives 0; a row
    without a key (lse -inf) gives 1, its output is 0 already."""
    no_sink = (sink == float("-inf")) | (lse == float("-inf"))
    return tl.where(no_sink, 1.0, 1.0 / (1.0 + tl.exp2(sink * LOG2_E - lse)))


@triton.jit
def attend_mla(
    q_latent,
    q_rope,
    k_latent,
    k_rope,
    valid,
    unfinished,
    m,
    l,
    acc,
    scale,
    SWAP: tl.constexpr,
    CT: tl.constexpr,
):
    """One tile of keys of absorbed MLA: scores, online softmax, and the same latent tile once more as V.

    q_latent [BLOCK_H, 512], q_rope [BLOCK_H, 64], k_latent [BLOCK_KV, 512], k_rope [BLOCK_KV, 64]; keys that are not valid
    must be finite (their weight is 0, and 0 · NaN is NaN). valid bool [BLOCK_KV]; m, l f32 [BLOCK_H]; acc f32
    [BLOCK_H, 512], or [512, BLOCK_H] with SWAP; scale f32 = sm_scale · log2(e). -> (m, l, acc)

    SWAP computes Sᵀ = K·Qᵀ and Oᵀ = Vᵀ·Pᵀ: wgmma wants 64 rows of its left operand, here keys and latent dims, so that 16 or
    32 heads fill it. Otherwise S = Q·Kᵀ and O = P·V, which needs 64 heads.

    unfinished: a run-time bool that is always true. Triton hands a product whose result flows into another product to the
    warpgroups by rows alone; with 64 rows both of two warpgroups then compute the whole tile (72 instead of 36 QKᵀ wgmma
    per tile and warpgroup). A branch between the two products hides the second from that rule, and the columns are shared
    out; for the same reason the products of latent and rope are added as scaled scores, not accumulated in one chain.
    """
    if SWAP:
        latent_scores = tl.dot(k_latent.to(CT), q_latent.to(CT).T)
        rope_scores = tl.dot(k_rope.to(CT), q_rope.to(CT).T)
        scores = latent_scores * scale + rope_scores * scale
        if unfinished:
            scores = tl.where(valid[:, None], scores, float("-inf"))
        m, l, decay, weights = update(m, l, scores, 0)
        acc = tl.dot(k_latent.to(CT).T, weights.to(CT), acc * decay[None, :])
    else:
        latent_scores = tl.dot(q_latent.to(CT), k_latent.to(CT).T)
        rope_scores = tl.dot(q_rope.to(CT), k_rope.to(CT).T)
        scores = latent_scores * scale + rope_scores * scale
        if unfinished:
            scores = tl.where(valid[None, :], scores, float("-inf"))
        m, l, decay, weights = update(m, l, scores, 1)
        acc = tl.dot(weights.to(CT), k_latent.to(CT), acc * decay[:, None])
    return m, l, acc


@triton.jit
def finish(m, l, acc, SWAP: tl.constexpr):
    """What the tiles of a row left: m, l f32 [rows], acc f32 [rows, D], or [D, rows] with SWAP.

    -> (out f32 [rows, D], softmax-normalised; lse f32 [rows], base 2). A row without a key: out 0, lse -inf."""
    factor = 1.0 / tl.where(l > 0, l, 1.0)
    lse = m + tl.log2(l)
    if SWAP:
        out = (acc * factor[None, :]).T
    else:
        out = acc * factor[:, None]
    return out, lse
