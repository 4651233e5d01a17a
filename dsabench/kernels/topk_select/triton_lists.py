"""A row as lists of scores that the threads of one program read side by side.

The window is cut into LISTS lists of `span` columns; a tile is CHUNKS * LANES columns of each, [CHUNKS, LISTS, LANES] with a list
in the hands of one warp, so that the pass over the row has no barrier. The scores that a filter keeps of a list are packed to its
beginning in a workspace of the row's own size: they can never overflow, stay in ascending columns and are again lists, so what reads
a row reads survivors too.

Accesses are 4 bytes a lane: 16-byte loads would need another layout than the scattered stores, and the conversion between the two
took 16 KB of shared memory and three barriers a tile.

Common arguments: firsts, ends int32 [LISTS], the indices of each list's beginning and end; `steps`, tiles to the end of the longest.
"""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.topk_select.triton_keys import BOTTOM, next_probe, score_of

CHUNKS = tl.constexpr(4)
"""pieces of LANES columns of a list in a tile; their prefix sums are taken in one, 8 bits each"""
ALIGN = tl.constexpr(128)
"""columns; spans are multiples of it, whole tiles"""


@triton.jit
def span_of(start, end, LISTS: tl.constexpr):
    """Columns of one of LISTS lists that cover [start, end)."""
    return tl.cdiv(end - start, LISTS * ALIGN) * ALIGN


@triton.jit
def flat(tile, LISTS: tl.constexpr, LANES: tl.constexpr):
    """A tile in one dimension, in which all accesses are made. Of several dimensions Triton lays lanes along the most contiguous
    one, and its versions take different ones for scattered stores: 3.6 the first, with 16 KB of conversions in the loop."""
    return tl.reshape(tile, (CHUNKS * LISTS * LANES,))


@triton.jit
def load_tile(scores, firsts, ends, step, LISTS: tl.constexpr, LANES: tl.constexpr):
    """(index of each lane in chunk 0 int32 [LISTS, LANES], scores and whether in a list, [CHUNKS, LISTS, LANES]). A score past
    the end of its list is NaN."""
    offset = tl.arange(0, CHUNKS)[:, None, None] * LANES
    lane = firsts[:, None] + tl.arange(0, LANES)[None, :] + step * (CHUNKS * LANES)
    inside = offset < (ends[:, None] - lane)[None, :, :]
    pointers = flat((scores + lane)[None, :, :] + offset, LISTS, LANES)
    x = tl.load(pointers, mask=flat(inside, LISTS, LANES), other=float("nan"))
    return lane, tl.reshape(x, (CHUNKS, LISTS, LANES)), inside


@triton.jit
def count_before(marks):
    """(marks of a list before each one of its tile, marks of each list int32 [LISTS]) of int32 0/1 marks [CHUNKS, LISTS, LANES]."""
    shift = tl.arange(0, CHUNKS) * 8
    packed = tl.sum(marks << shift[:, None, None], axis=0)
    total = tl.sum(packed, axis=1)
    # Byte c of the product is the sum of chunks 0 … c: at most 128 marks, so no byte overflows.
    upto = total * 0x01010101
    before = tl.cumsum(packed, axis=1) - packed + (upto << 8)[:, None]
    return (before[None, :, :] >> shift[:, None, None]) & 255, (upto >> 24) & 255


@triton.jit
def filter_lists(
    row,
    firsts,
    ends,
    steps,
    threshold,
    kept_scores,
    kept_columns,
    kept_counts,
    LISTS: tl.constexpr,
    LANES: tl.constexpr,
):
    """Packs what is above `threshold` to the beginnings of the lists in kept_scores, kept_columns, and stores in kept_counts int32
    [LISTS] how many there are. (Handed on in memory: in registers they get a second layout inside the loop.)"""
    kept = tl.zeros((LISTS,), tl.int32)
    offset = tl.arange(0, CHUNKS)[:, None, None] * LANES
    for step in range(steps):
        lane, x, _ = load_tile(row, firsts, ends, step, LISTS, LANES)
        above = x > threshold
        before, total = count_before(above.to(tl.int32))
        place = (firsts + kept)[None, :, None] + before
        place = flat(place, LISTS, LANES)
        kept_here = flat(above, LISTS, LANES)
        tl.store(kept_scores + place, flat(x, LISTS, LANES), mask=kept_here)
        tl.store(kept_columns + place, flat(lane[None, :, :] + offset, LISTS, LANES), mask=kept_here)
        kept += total
    tl.store(kept_counts + tl.arange(0, LISTS), kept)


@triton.jit
def search_lists(
    scores, firsts, ends, steps, k, low, low_count, high, high_count, first_guess, second_guess, probes,
    LISTS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Narrows int64 keys low < high, at or above which low_count >= k > high_count listed scores are, until low_count == k or
    high == low + 1. Probes 0 and 1 try the guesses. Returns (low, low_count, high, high_count)."""
    while (low_count > k) & (high - low > 1):
        probe = next_probe(low, low_count, high, high_count, k, probes)
        guess = tl.where(probes == 0, first_guess, second_guess)
        probe = tl.where((probes < 2) & (guess > low) & (guess < high), guess, probe)
        threshold = score_of(probe)
        counts = tl.zeros((LISTS, LANES), tl.int32)
        for step in range(steps):
            _, x, _ = load_tile(scores, firsts, ends, step, LISTS, LANES)
            counts += tl.sum((x >= threshold).to(tl.int32), axis=0)
        count = tl.sum(tl.sum(counts, axis=1), axis=0)
        enough = count >= k
        low = tl.where(enough, probe, low)
        low_count = tl.where(enough, count, low_count)
        high = tl.where(enough, high, probe)
        high_count = tl.where(enough, high_count, count)
        probes += 1
    return low, low_count, high, high_count


@triton.jit
def mark_taken(x, inside, low, sure_from):
    """int32 marks of the scores whose key is at or above `sure_from`, and of those from `low` to below it."""
    sure = (x >= score_of(sure_from)).to(tl.int32)
    possible = tl.where(low == BOTTOM, inside.to(tl.int32), (x >= score_of(low)).to(tl.int32))
    return sure, possible - sure


@triton.jit
def emit_lists(
    scores, columns, packed, firsts, ends, steps, low, sure_from, missing, out, LISTS: tl.constexpr, LANES: tl.constexpr
):
    """Writes to `out`, ascending, the columns of all listed scores whose key is at or above `sure_from` and of the first
    `missing` of those with keys from `low` to below it. `packed`: columns are looked up in `columns`, else they are indices."""
    sures = tl.zeros((LISTS,), tl.int32)
    ties = tl.zeros((LISTS,), tl.int32)
    for step in range(steps):
        _, x, inside = load_tile(scores, firsts, ends, step, LISTS, LANES)
        sure, tie = mark_taken(x, inside, low, sure_from)
        both = tl.sum(tl.sum(sure + (tie << 16), axis=0), axis=1)
        sures += both & 0xFFFF
        ties += both >> 16
    sures = tl.cumsum(sures, axis=0) - sures
    ties = tl.cumsum(ties, axis=0) - ties
    offset = tl.arange(0, CHUNKS)[:, None, None] * LANES
    for step in range(steps):
        lane, x, inside = load_tile(scores, firsts, ends, step, LISTS, LANES)
        sure, tie = mark_taken(x, inside, low, sure_from)
        sures_before, new_sures = count_before(sure)
        ties_before, new_ties = count_before(tie)
        ties_before += ties[None, :, None]
        place = sures[None, :, None] + sures_before + tl.minimum(ties_before, missing)
        taken = (sure == 1) | ((tie == 1) & (ties_before < missing))
        index = flat(lane[None, :, :] + offset, LISTS, LANES)
        looked_up = flat(taken & packed, LISTS, LANES)
        column = tl.load(columns + index, mask=looked_up, other=index)
        tl.store(out + flat(place, LISTS, LANES), column, mask=flat(taken, LISTS, LANES))
        sures += new_sures
        ties += new_ties
