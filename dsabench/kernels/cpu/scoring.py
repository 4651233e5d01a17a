"""The lightning indexer's inner part, shared by its prefill and paged forms.

I[t, s] = k_scale[s] · Σ_h w[t, h] · relu(q[t, h] · k[s])     (DeepSeek-V3.2 report, eq. 1)

Keys and queries are decoded from e4m3 to bf16 (exact) or f32. A query is packed once as a panel [words of d][heads], so
that lanes are heads; a register tile scores NK keys against all heads and applies relu, weights and the sum over heads
before anything leaves the registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic as numba_intrinsic

from dsabench.kernels.cpu import llvm
from dsabench.kernels.cpu.convert import decode_codes
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.cpu.microkernel import emit_products

DIM = 128


def _scoring_tile(count: int, vectors: int) -> Any:
    """An intrinsic that writes out[o0 + i] = scales[s0 + i] · Σ_lane weights[lane] · relu(keys[i] · panel[:, lane])."""

    @numba_intrinsic
    def tile(typing_context, keys, k0, k_row, panel, p0, p_step, steps, weights, w0, scales, s0, out, o0):
        bf16 = llvm.is_bf16_words(keys)
        word = types.int64
        signature = types.void(keys, word, word, panel, word, word, word, weights, word, scales, word, out, word)

        def generate(context, builder, signature, arguments):
            keys, k0, k_row, panel, p0, p_step, steps, weights, w0, scales, s0, out, o0 = arguments
            data = lambda index, value: llvm.array_data(context, builder, signature.args[index], value)
            base = llvm.element_address(builder, data(0, keys), k0, 4)
            rows = [builder.add(base, builder.mul(k_row, llvm.int64(4 * i))) for i in range(count)]
            panel_base = llvm.element_address(builder, data(3, panel), p0, 4)
            weight_base = llvm.element_address(builder, data(7, weights), w0, 4)
            scale_base = llvm.element_address(builder, data(9, scales), s0, 4)
            out_base = llvm.element_address(builder, data(11, out), o0, 4)
            zero = llvm.vector_constant(llvm.f32, [0.0] * 16)
            sums = emit_products(
                builder,
                bf16,
                rows,
                llvm.int64(4),
                panel_base,
                builder.mul(p_step, llvm.int64(4)),
                steps,
                [[zero] * vectors for _ in range(count)],
            )
            w = [llvm.load(builder, llvm.v16f32, builder.add(weight_base, llvm.int64(64 * j))) for j in range(vectors)]
            for i in range(count):
                total = None
                for j in range(vectors):
                    # "x < 0 ? 0 : x" keeps a NaN (from a NaN code) a NaN, as torch's relu does.
                    negative = builder.fcmp_ordered("<", sums[i][j], zero)
                    positive = builder.select(negative, zero, sums[i][j])
                    product = builder.fmul(positive, w[j])
                    total = product if total is None else builder.fadd(total, product)
                for half in (8, 4, 2, 1):
                    undefined = ir.Constant(llvm.v16f32, ir.Undefined)
                    order = [k + half if k < half else k for k in range(16)]
                    total = builder.fadd(total, llvm.shuffle(builder, total, undefined, order))
                sum_over_heads = builder.extract_element(total, ir.Constant(llvm.i32, 0))
                offset = llvm.int64(4 * i)
                scale = llvm.load(builder, llvm.f32, builder.add(scale_base, offset))
                llvm.store(builder, builder.fmul(sum_over_heads, scale), builder.add(out_base, offset))
            return context.get_dummy_value()

        return signature, generate

    return tile


_score_6x4, _score_4x4, _score_1x4 = (_scoring_tile(n, 4) for n in (6, 4, 1))
_score_12x2, _score_6x2, _score_1x2 = (_scoring_tile(n, 2) for n in (12, 6, 1))
_score_12x1, _score_6x1, _score_1x1 = (_scoring_tile(n, 1) for n in (12, 6, 1))

SCORE_KEYS = (4, 6, 12)
"""NK: keys a register tile. 64 heads fill 4 vectors, so 12 keys would need 48 accumulators: `score_keys` uses 6 then."""


@kernel
def score_keys(keys, first, count, panel, p0, lanes, weights, w0, scales, out, o0, nk):
    """out[o0 + i] = score of keys[first + i], i < count, for the query whose panel begins at panel[p0].

    keys: words [BLOCK][W]; panel: words, W × lanes; weights: f32, `lanes` of them from w0; scales: f32 [BLOCK], from
    `first`; out: f32, flat; lanes: 16, 32 or 64 heads (padded with zero weights); nk: one of SCORE_KEYS.
    """
    row = keys.shape[1]
    flat = keys.reshape(keys.size)
    i = 0
    if lanes == 64:
        if nk != 4:
            while i + 6 <= count:
                _score_6x4(
                    flat, (first + i) * row, row, panel, p0, lanes, row, weights, w0, scales, first + i, out, o0 + i
                )
                i += 6
        while i + 4 <= count:
            _score_4x4(flat, (first + i) * row, row, panel, p0, lanes, row, weights, w0, scales, first + i, out, o0 + i)
            i += 4
        while i < count:
            _score_1x4(flat, (first + i) * row, row, panel, p0, lanes, row, weights, w0, scales, first + i, out, o0 + i)
            i += 1
    elif lanes == 32:
        if nk == 12:
            while i + 12 <= count:
                _score_12x2(
                    flat, (first + i) * row, row, panel, p0, lanes, row, weights, w0, scales, first + i, out, o0 + i
                )
                i += 12
        while i + 6 <= count:
            _score_6x2(flat, (first + i) * row, row, panel, p0, lanes, row, weights, w0, scales, first + i, out, o0 + i)
            i += 6
        while i < count:
            _score_1x2(flat, (first + i) * row, row, panel, p0, lanes, row, weights, w0, scales, first + i, out, o0 + i)
            i += 1
    else:
        if nk == 12:
            while i + 12 <= count:
                _score_12x1(
                    flat, (first + i) * row, row, panel, p0, lanes, row, weights, w0, scales, first + i, out, o0 + i
                )
                i += 12
        while i + 6 <= count:
            _score_6x1(flat, (first + i) * row, row, panel, p0, lanes, row, weights, w0, scales, first + i, out, o0 + i)
            i += 6
        while i < count:
            _score_1x1(flat, (first + i) * row, row, panel, p0, lanes, row, weights, w0, scales, first + i, out, o0 + i)
            i += 1


@kernel
def pack_query(codes, query, heads, lanes, table, panel, p0, row):
    """Decodes query `query` of codes [s_q, h, 128] (uint8) into panel[p0 + word·lanes + head]; `row`: scratch, W words.

    Lanes past `heads` are zeroed (8 heads fill half a vector).
    """
    words = row.size
    flat = codes.reshape(codes.size)
    for i in range(words * lanes):
        panel[p0 + i] = 0
    for head in range(heads):
        decode_codes(flat, (query * heads + head) * DIM, DIM, table, None, row, 0)
        for word in range(words):
            panel[p0 + word * lanes + head] = row[word]


@kernel
def score_window(keys, first_key, count, panel, slot, lanes, weights, scales, low, high, out, o0, nk):
    """Scores the block's `count` keys, columns first_key … first_key + count, for one query with window [low, high).

    Columns outside the window get -inf. out[o0] is column first_key of the query's row.
    """
    begin = min(max(low - first_key, 0), count)
    end = max(min(high - first_key, count), begin)
    for i in range(begin):
        out[o0 + i] = -np.inf
    if end > begin:
        words = keys.shape[1]
        score_keys(
            keys,
            begin,
            end - begin,
            panel,
            slot * words * lanes,
            lanes,
            weights,
            slot * lanes,
            scales,
            out,
            o0 + begin,
            nk,
        )
    for i in range(end, count):
        out[o0 + i] = -np.inf


def padded_lanes(heads: int) -> int:
    """Heads rounded up to whole vectors of 16: 16, 32 or 64."""
    return -(-heads // llvm.LANES) * llvm.LANES


def words_per_key(math: str) -> int:
    """32-bit words of one decoded key: pairs of bf16, or f32."""
    return DIM // 2 if math == "bf16" else DIM


def word_dtype(math: str) -> type[np.generic]:
    return np.uint32 if math == "bf16" else np.float32
