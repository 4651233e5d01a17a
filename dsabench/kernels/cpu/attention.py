"""Attention over blocks of keys with an online softmax: the part shared by sparse MLA, dense MLA and dense MHA.

Rows (heads, or queries) are lanes: they stand in groups of `lanes` (16, 32 or 64) that all see the same keys.

keys    words [BLOCK][W]        bf16 pairs along d (uint32) or f32
values  words [BLOCK/2][d_v]    pairs of keys for bf16; for f32 simply rows of d_v values, `value_step` words apart
panel   words [groups][W][lanes]   the packed queries
state   o f32 [groups][d_v][lanes], m and l f32 [groups][lanes]: accumulator, reference exponent (base 2) and sum

Per block: S = K·Q; p = 2^(S·scale − m); l += Σp; O += Vᵀ·P. The reference m moves only when a row's maximum exceeds it by
more than 8, i.e. p ≤ 256, which changes no digit and spares most of the passes over O (FlashAttention-4's lazy rescaling).
"""

from __future__ import annotations

import numpy as np
from numba.extending import overload

from dsabench.kernels.cpu import llvm
from dsabench.kernels.cpu.convert import (
    bf16_bits,
    copy_bf16,
    elements_per_word,
    exp2,
    exponentials_16,
    interleave_rows,
    prefetch_bytes,
    store_bf16_16,
    transpose_16,
)
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.cpu.microkernel import accumulate_products

EMPTY = np.float32(-1e30)
"""m of a row that has seen no key: finite, so that no difference of two of them is NaN."""
SLACK = np.float32(8.0)
KEYS_A_SLICE = 60
DIMS_A_SLICE = 128
"""Keys (QKᵀ) and value dims (P·V) computed between two prefetches; multiples of every register tile's rows. Slices of 12 and
48 cost sparse decode 5 % in calls; these cost nothing measurable and gain dense MHA 2-5 % over asking for a block at once."""
LOG2_E = np.float32(1.4426950408889634)
LN_2 = np.float32(0.6931471805599453)


@kernel
def pack_rows(source, first, row_stride, rows, out, lanes):
    """Packs `rows` rows of bf16 (pairs in a flat uint32 `source`, row i at word first + i·row_stride) into
    out [groups][W][lanes].

    Lanes past the last row are zero. W = out.shape[1] words a row: pairs when `out` is uint32, single values when float32.
    """
    groups, words = out.shape[0], out.shape[1]
    flat = out.reshape(out.size)
    per_word = 2 // elements_per_word(out)  # words of `out` a word of `source` becomes
    wide = np.empty(16 * words, out.dtype)
    for g in range(groups):
        for lane in range(0, lanes, 16):
            used = min(max(rows - g * lanes - lane, 0), 16)
            for i in range(used):
                copy_bf16(source, first + (g * lanes + lane + i) * row_stride, words // per_word, wide, i * words)
            for i in range(used * words, 16 * words):
                wide[i] = 0
            for w in range(0, words, 16):
                transpose_16(wide, w, words, flat, (g * words + w) * lanes + lane, lanes)


@kernel
def reset_state(state):
    """The state of rows that have seen no key."""
    state.o[:] = np.float32(0.0)
    state.m[:] = EMPTY
    state.l[:] = np.float32(0.0)


def finish_values(keys, count, d_v, values):
    """Makes `values` from the block's rows and returns the P·V steps: for bf16 interleaves pairs of rows (an odd count gets
    a zero row, since a stale NaN times zero is NaN); for f32 the rows themselves are the values."""
    raise NotImplementedError("compiled code only")


@overload(finish_values)
def _finish_values(keys, count, d_v, values):
    if not llvm.is_bf16_words(keys):
        return lambda keys, count, d_v, values: count

    def interleave(keys, count, d_v, values):
        if count % 2:
            for w in range(keys.shape[1]):
                keys[count, w] = 0
        interleave_rows(keys.reshape(keys.size), keys.shape[1], count + count % 2, d_v, values.reshape(values.size))
        return (count + 1) // 2

    return interleave


@kernel
def exponentials(s, count, lanes, scale, m, l, p):
    """p = 2^(s·scale − m) for `count` keys × `lanes` rows and l += Σp. s, p: flat; p in pairs of keys for bf16."""
    per_word = elements_per_word(p)
    for i in range(count // per_word):
        for lane in range(0, lanes, 16):
            at = per_word * i * lanes + lane
            exponentials_16(s, at, at + lanes, scale, m, l, lane, p, i * lanes + lane)
    if count % per_word:
        i = count - 1
        for j in range(lanes):
            last = exp2(s[i * lanes + j] * scale - m[j])
            l[j] += last
            p[i // per_word * lanes + j] = bf16_bits(last)


@kernel
def ask_ahead(ahead, begin, end):
    """Prefetches rows [begin, end) of `ahead` (see `Ahead`)."""
    for i in range(begin, end):
        for j in range(len(ahead.sources)):
            prefetch_bytes(ahead.sources[j], ahead.rows[i] * ahead.widths[j], ahead.widths[j])


@kernel
def attend_block(scratch, state, count, steps, limits, first_position, scale, tile, ahead, ahead_count):
    """Adds the block's `count` keys to the state of every group.

    steps: what `finish_values` returned; limits: int32 [groups][lanes], a row sees positions below its limit; the block's
    keys are at positions first_position … (sparse callers pass limits above any position); scale = sm_scale · log2 e;
    tile: index into REGISTER_TILES. The first `ahead_count` rows of `ahead`, which the next block will load, are asked for a
    few at a time between the products: all at once they would wait for each other (a core keeps about two dozen misses in
    flight).
    """
    keys, values, panel, s, p = scratch.keys, scratch.values, scratch.panel, scratch.s, scratch.p
    o, m, l = state.o, state.m, state.l
    groups, words, lanes = panel.shape
    d_v = o.shape[1]
    flat_keys, flat_values = keys.reshape(keys.size), values.reshape(values.size)
    flat_panel, flat_s, flat_p, flat_o = (
        panel.reshape(panel.size),
        s.reshape(s.size),
        p.reshape(p.size),
        o.reshape(o.size),
    )
    highest = np.empty(lanes, np.float32)
    slices = groups * (-(-count // KEYS_A_SLICE) + -(-d_v // DIMS_A_SLICE))
    asked = 0
    share = -(-ahead_count // slices)
    for g in range(groups):
        least, most = limits[g, 0], limits[g, 0]
        for j in range(lanes):
            least, most = min(least, limits[g, j]), max(most, limits[g, j])
        if most <= first_position:
            continue
        for i in range(count * lanes):
            flat_s[i] = np.float32(0.0)
        q0 = g * words * lanes
        for first in range(0, count, KEYS_A_SLICE):
            n = min(KEYS_A_SLICE, count - first)
            accumulate_products(
                flat_keys,
                first * words,
                words,
                1,
                n,
                flat_panel,
                q0,
                lanes,
                words,
                flat_s,
                first * lanes,
                lanes,
                lanes,
                tile,
            )
            ask_ahead(ahead, asked, min(asked + share, ahead_count))
            asked = min(asked + share, ahead_count)
        if least < first_position + count:
            for i in range(count):
                for j in range(lanes):
                    if first_position + i >= limits[g, j]:
                        s[i, j] = -np.inf
        for j in range(lanes):
            highest[j] = -np.inf
        for i in range(count):
            for j in range(lanes):
                highest[j] = max(highest[j], s[i, j])
        moved = 0
        for j in range(lanes):
            moved += highest[j] * scale > m[g, j] + SLACK
        if moved:
            for j in range(lanes):
                target = highest[j] * scale
                factor = np.float32(1.0)
                if target > m[g, j] + SLACK:
                    factor = exp2(m[g, j] - target)
                    m[g, j] = target
                l[g, j] *= factor
                highest[j] = factor
            for d in range(d_v):
                for j in range(lanes):
                    o[g, d, j] *= highest[j]
        exponentials(flat_s, count, lanes, scale, m[g], l[g], flat_p)
        o0 = g * d_v * lanes
        for first in range(0, d_v, DIMS_A_SLICE):
            n = min(DIMS_A_SLICE, d_v - first)
            accumulate_products(
                flat_values,
                first,
                1,
                scratch.value_step,
                n,
                flat_p,
                0,
                lanes,
                steps,
                flat_o,
                o0 + first * lanes,
                lanes,
                lanes,
                tile,
            )
            ask_ahead(ahead, asked, min(asked + share, ahead_count))
            asked = min(asked + share, ahead_count)
    ask_ahead(ahead, asked, ahead_count)


@kernel
def merge_states(states):
    """Merges the states of all splits into split 0. o: [splits][groups][d_v][lanes]; m, l: [splits][groups][lanes]."""
    o, m, l = states.o, states.m, states.l
    splits, groups, d_v, lanes = o.shape
    factor = np.empty(lanes, np.float32)
    for g in range(groups):
        for split in range(1, splits):
            for j in range(lanes):
                if m[split, g, j] > m[0, g, j]:
                    # Lower the accumulated part to the new reference.
                    factor[j] = exp2(m[0, g, j] - m[split, g, j])
                else:
                    factor[j] = np.float32(1.0)
            for d in range(d_v):
                for j in range(lanes):
                    o[0, g, d, j] *= factor[j]
            for j in range(lanes):
                l[0, g, j] *= factor[j]
                m[0, g, j] = max(m[0, g, j], m[split, g, j])
                factor[j] = exp2(m[split, g, j] - m[0, g, j])
                l[0, g, j] += l[split, g, j] * factor[j]
            for d in range(d_v):
                for j in range(lanes):
                    o[0, g, d, j] += o[split, g, d, j] * factor[j]


@kernel
def write_rows(state, rows, first_row, row_stride, sink, sink_period, out, lse):
    """Normalises and writes the rows of a state.

    Row r < rows goes to flat out[(first_row + r·row_stride)·d_v …], bf16 bits, and to flat lse[first_row + r·row_stride],
    natural logarithm. No key: out 0 and lse -inf.

    sink: f32, empty for none; row r takes sink[r % sink_period], out is scaled by 1 / (1 + exp(sink − lse)).
    """
    o, m, l = state.o, state.m, state.l
    groups, d_v, lanes = o.shape
    flat_o = o.reshape(o.size)
    factor = np.empty(lanes, np.float32)
    rows_of_o = np.empty(16 * d_v, np.float32)
    for g in range(groups):
        used = min(lanes, rows - g * lanes)
        for j in range(used):
            r = g * lanes + j
            total = l[g, j]
            value = -np.inf if total == np.float32(0.0) else (m[g, j] + np.log2(total)) * LN_2
            inverse = np.float32(0.0) if total == np.float32(0.0) else np.float32(1.0) / total
            if sink.size:
                inverse = inverse / (np.float32(1.0) + np.exp(sink[r % sink_period] - value))
            if total == np.float32(0.0):
                inverse = np.float32(0.0)
            factor[j] = inverse
            lse[first_row + r * row_stride] = value
        for lane in range(0, used, 16):
            for d in range(0, d_v, 16):
                transpose_16(flat_o, (g * d_v + d) * lanes + lane, lanes, rows_of_o, d, d_v)
            for j in range(min(16, used - lane)):
                at = (first_row + (g * lanes + lane + j) * row_stride) * d_v
                for d in range(0, d_v, 16):
                    store_bf16_16(rows_of_o, j * d_v + d, factor[lane + j], out, at + d)
