"""Sparse MLA on the CPU: what prefill (bf16 KV) and decode (656-byte fp8 cache) share.

1. A task is one query and one split of its index list; all heads of the query are lanes.
2. Valid indices are gathered BLOCK_KV at a time into a packed block (fp8 rows are dequantized on the way), once for QKᵀ
   and PV; padding, wherever it stands, costs nothing. The next block's rows are prefetched between the products.
3. Each block updates the online softmax of every head group (kernels.cpu.attention).
4. One split: the task writes its rows. Several: the last task of a query to finish merges the partial states by their
   exponents, then writes.
"""

from __future__ import annotations

import numpy as np
from numba.core import types
from numba.extending import overload

from dsabench.kernels.cpu.attention import (
    LOG2_E,
    ask_ahead,
    attend_block,
    finish_values,
    merge_states,
    pack_rows,
    reset_state,
    write_rows,
)
from dsabench.kernels.cpu.attention_scratch import (
    UNLIMITED,
    State,
    make_ahead,
    make_scratch,
    make_state,
    row_groups,
)
from dsabench.kernels.cpu.convert import copy_bf16, decode_codes
from dsabench.kernels.cpu.countdown import is_last
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.cpu.memory import borrowed
from dsabench.kernels.cpu.microkernel import REGISTER_TILES
from dsabench.kernels.cpu.parallel import parallel_for, thread_count
from dsabench.kernels.implementation import Config, Tunable
from dsabench.kernels.machine import usable_cpus

D_QK, D_V = 576, 512
TOKEN_BYTES = 656  # 512 e4m3 | 4 f32 scales | 64 bf16 rope
SCALE_GROUP = 128

BLOCK_KV = Tunable("BLOCK_KV", (60, 120, 240), "gathered keys a step; multiples of 12, so that no register tile is cut")
SPLITS = Tunable("SPLITS", (1, 2, 4, 8), "parts of a query's index list, merged by their exponents at the end")


def _load_token(source, slot, keys, i):
    """Loads token `slot` as row i of `keys`. source: (bf16 pairs flat,) or (cache bytes, as f32, as uint32 words, e4m3 table)."""
    raise NotImplementedError("compiled code only")


@overload(_load_token)
def _load_token_overload(source, slot, keys, i):
    if len(source) == 1:

        def load_bf16(source, slot, keys, i):
            copy_bf16(source[0], slot * (D_QK // 2), D_QK // 2, keys.reshape(keys.size), i * keys.shape[1])

        return load_bf16
    per_word = 2 if keys.dtype == types.uint32 else 1

    def load_fp8(source, slot, keys, i):
        codes, scales, words, table = source
        flat = keys.reshape(keys.size)
        at = i * keys.shape[1]
        for group in range(D_V // SCALE_GROUP):
            scale = scales[slot * (TOKEN_BYTES // 4) + D_V // 4 + group]
            first = slot * TOKEN_BYTES + group * SCALE_GROUP
            decode_codes(codes, first, SCALE_GROUP, table, scale, flat, at + group * SCALE_GROUP // per_word)
        copy_bf16(words, slot * (TOKEN_BYTES // 4) + (D_V + 16) // 4, (D_QK - D_V) // 2, flat, at + D_V // per_word)

    return load_fp8


@kernel
def _collect(indices, query, at, end, slots, rows):
    """Fills `rows` with the next valid slots of the query's entries [at, end). Returns (how many, where to go on)."""
    count = 0
    while at < end and count < rows.size:
        slot = np.int64(indices[query, at])
        if 0 <= slot < slots:
            rows[count] = slot
            count += 1
        at += 1
    return count, at


@kernel
def _attend_split(
    q, query, heads, source, slots, indices, length, split, limits, scale, scratch, states, left, place, ahead, tile,
    sink, out, lse,
):  # fmt: skip
    """One split of a query's first `length` index-list entries; the last of its splits to finish writes the query's rows.

    states: State with a leading dim of splits; left: int64, splits of the query in `place` that have not finished.
    """
    splits = states.m.shape[0]
    begin, end = length * split // splits, length * (split + 1) // splits
    state = State(states.o[split], states.m[split], states.l[split])
    count, at = _collect(indices, query, begin, end, slots, ahead.rows)
    ask_ahead(ahead, 0, count)  # before the queries are packed: the first rows travel meanwhile
    pack_rows(q, query * heads * (D_QK // 2), D_QK // 2, heads, scratch.panel, scratch.panel.shape[2])
    reset_state(state)
    while count:
        for i in range(count):
            _load_token(source, ahead.rows[i], scratch.keys, i)
        following, at = _collect(indices, query, at, end, slots, ahead.rows)
        steps = finish_values(scratch.keys, count, D_V, scratch.values)
        attend_block(scratch, state, count, steps, limits, 0, scale, tile, ahead, following)
        count = following
    if is_last(left, place):
        merge_states(states)
        merged = State(states.o[0], states.m[0], states.l[0])
        write_rows(merged, heads, query * heads, 1, sink, heads, out, lse)


def run_sparse(
    q: np.ndarray,
    source: tuple[np.ndarray, ...],
    slots: int,
    indices: np.ndarray,
    lengths: np.ndarray | None,
    sm_scale: float,
    sink: np.ndarray,
    out: np.ndarray,
    lse: np.ndarray,
    config: Config,
) -> None:
    """q: uint32 [queries, h, 288] (bf16 pairs); source: see `_load_token`; indices: int32 [queries, k]; lengths: int32
    [queries] or None; sink: f32 [h], empty for none; out: uint16 [queries, h, 512]; lse: f32 [queries, h]."""
    queries, heads, _ = q.shape
    k = indices.shape[1]
    splits = min(int(config["SPLITS"]), k)
    threads = thread_count()
    groups, lanes = row_groups(heads)
    tile = REGISTER_TILES.index(str(config["TILE"]))
    limits = np.full((groups, lanes), UNLIMITED, np.int32)
    scale = np.float32(sm_scale) * LOG2_E
    flat_q, flat_out, flat_lse = q.reshape(-1), out.reshape(-1), lse.reshape(-1)
    block = int(config["BLOCK_KV"])
    workers = min(threads, queries * splits)
    ahead = [make_ahead(block, source[:1], (source[0].nbytes // slots,)) for _ in range(workers)]
    # Unsplit, each thread has one state, which stays in its cache. Split, as many queries are begun at a time as keep all
    # threads busy: memory does not grow with the number of queries.
    wave = queries if splits == 1 else min(queries, max(1, -(-2 * threads // splits)))
    places = workers if splits == 1 else wave

    def length(query: int) -> int:
        return k if lengths is None else min(k, max(0, int(lengths[query])))

    with (
        borrowed(workers, make_scratch, str(config["MATH"]), heads, block, D_QK, D_V, True) as scratch,
        borrowed(places, make_state, splits, heads, D_V) as states,
    ):
        for first in range(0, queries, wave):
            count = min(wave, queries - first)
            left = np.full(places, splits, np.int64)

            def part(number: int, slot: int, first: int = first, left: np.ndarray = left) -> None:
                query, split = first + number // splits, number % splits
                place = number // splits
                if splits == 1:
                    place = slot
                    left[place] = 1
                _attend_split(
                    flat_q, query, heads, source, slots, indices, length(query), split, limits, scale,
                    scratch[slot], states[place], left, place, ahead[slot], tile, sink, flat_out, flat_lse,
                )  # fmt: skip

            parallel_for(count * splits, part, threads)


def default_splits(queries: int) -> int:
    """1 where the queries alone keep every CPU busy; else the fewest splits that do (more cost a packing and a merge each:
    4 against 2 on two CPUs 12 % of a decode call)."""
    cpus = usable_cpus()
    if queries >= 2 * cpus:
        return 1
    return next((n for n in (1, 2, 4, 8) if n * queries >= cpus), 8)
