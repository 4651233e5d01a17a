"""Exact top-k selection on Hopper: a sampled threshold, one filtering pass over the row, a search among the survivors.

Contract: REFERENCE §2, `top-k selection`; every config gives its deterministic form: prefix sums place the survivors, which is
no dearer than atomics would be, so the default mode has nothing to gain.

logits f32 [rows, width], starts, ends int32 [rows] -> out int32 [rows, k]. Workspaces, of one slot a program or row: kept_scores
f32 and kept_columns int32 [slots, pitch >= width], kept_counts int32 [slots, lists].

1. A window of at most k columns is returned whole.
2. The rank that k has in a sample of the window, and some spare, gives a threshold that 1.3 to 2.5 k scores exceed (k >= L/64).
3. One pass over the row packs what is above the threshold, in order.
4. A search over float keys counts survivors at or above each probe until exactly k are, or the cut is one value.
5. Two passes over the survivors take what is above the cut and the first of what equals it: ascending, lowest first.
Where fewer than k are above the threshold (ties there, or a sample that misled), or the window is short, steps 4 and 5 read the row.
With several parts a row, steps 2 and 3 are a launch of their own.
"""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

from dsabench.kernels.topk_select.triton_keys import BOTTOM, INTERPOLATED, TOP, sampled_keys, sampled_rank, score_of
from dsabench.kernels.topk_select.triton_lists import (
    CHUNKS,
    emit_lists,
    filter_lists,
    search_lists,
    span_of,
)


@triton.jit
def sample_window(row, start, n, k, DIRECT: tl.constexpr, SAMPLES: tl.constexpr):
    """(threshold key, guess of a further key, whether to filter the row with the threshold) for a window of n > k scores. Both
    keys are BOTTOM when the window is too short to be sampled."""
    threshold = tl.full((), BOTTOM, tl.int64)
    guess = tl.full((), BOTTOM, tl.int64)
    if n >= 2 * SAMPLES:
        rank = sampled_rank(k, n, SAMPLES)
        threshold, guess = sampled_keys(row, start, n, rank, SAMPLES)
    return threshold, guess, worth_filtering(n, k, threshold, DIRECT, SAMPLES)


@triton.jit
def worth_filtering(n, k, threshold, DIRECT: tl.constexpr, SAMPLES: tl.constexpr):
    """Whether survivors would be fewer than half of the window, and the window longer than DIRECT (at least 2 SAMPLES)."""
    return (n > DIRECT) & (sampled_rank(k, n, SAMPLES) * 2 <= SAMPLES) & (threshold > BOTTOM + 1)


@triton.jit
def select_listed(
    row, kept_scores, kept_columns, kept_counts, start, end, k, threshold, guess, filtered, out,
    LISTS: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Steps 4 and 5 for one window of more than k scores."""
    n = end - start
    span = span_of(start, end, LISTS)
    lists = tl.arange(0, LISTS)
    firsts = start + lists * span
    kept = tl.load(kept_counts + lists, mask=filtered, other=0)
    above = tl.sum(kept, axis=0)
    packed = filtered & (above >= k)

    scores = row
    if packed:
        scores = kept_scores
    ends = tl.where(packed, firsts + kept, tl.minimum(firsts + span, end))
    steps = tl.cdiv(tl.where(packed, tl.max(kept, axis=0), span), CHUNKS * LANES)

    # A row filtered in vain has its cut at or below the threshold: the first probe says which.
    low = tl.where(packed, threshold + 1, BOTTOM).to(tl.int64)
    low_count = tl.where(packed, above, n)
    in_vain = filtered & (above < k)
    high = tl.where(in_vain, threshold + 1, TOP).to(tl.int64)
    high_count = tl.where(in_vain, above, 0)
    probes = tl.where(threshold == BOTTOM, INTERPOLATED, tl.where(packed, 1, 0)).to(tl.int32)
    low, low_count, high, high_count = search_lists(
        scores, firsts, ends, steps, k, low, low_count, high, high_count, threshold, guess, probes, LISTS, LANES
    )
    exact = low_count == k
    sure_from = tl.where(exact, low, high)
    missing = tl.where(exact, 0, k - high_count)
    emit_lists(scores, kept_columns, packed, firsts, ends, steps, low, sure_from, missing, out, LISTS, LANES)


@triton.jit
def whole_window(start, n, k, out, BLOCK: tl.constexpr):
    """Step 1: the window's columns, then -1."""
    for first in range(0, k, BLOCK):
        place = first + tl.arange(0, BLOCK)
        tl.store(out + place, tl.where(place < n, start + place, -1), mask=place < k)


@triton.jit
def select_rows(
    logits, starts, ends, out, kept_scores, kept_columns, kept_counts, rows, width, pitch, k,
    LISTS: tl.constexpr, LANES: tl.constexpr, DIRECT: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    """All steps; program p does rows p, p + programs, … in row p of the workspaces."""
    number = tl.program_id(0)
    kept_scores += number.to(tl.int64) * pitch
    kept_columns += number.to(tl.int64) * pitch
    kept_counts += number * LISTS
    while number < rows:
        row = logits + number.to(tl.int64) * width
        chosen = out + number.to(tl.int64) * k
        start = tl.load(starts + number)
        end = tl.load(ends + number)
        if end - start <= k:
            whole_window(start, end - start, k, chosen, 1024)
        else:
            threshold, guess, filtered = sample_window(row, start, end - start, k, DIRECT, SAMPLES)
            if filtered:
                span = span_of(start, end, LISTS)
                firsts = start + tl.arange(0, LISTS) * span
                tl.debug_barrier()  # the survivors of the row before may still be read
                filter_lists(
                    row, firsts, tl.minimum(firsts + span, end), span // (CHUNKS * LANES), score_of(threshold),
                    kept_scores, kept_columns, kept_counts, LISTS, LANES,
                )  # fmt: skip
                tl.debug_barrier()  # the survivors of one warp are read by others
            select_listed(
                row, kept_scores, kept_columns, kept_counts, start, end, k, threshold, guess, filtered, chosen, LISTS, LANES
            )  # fmt: skip
        number += tl.num_programs(0)


@triton.jit
def filter_parts(
    logits, starts, ends, kept_scores, kept_columns, kept_counts, keys, width, pitch, k,
    PARTS: tl.constexpr, LISTS: tl.constexpr, LANES: tl.constexpr, DIRECT: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    """Steps 2 and 3 for LISTS of the PARTS * LISTS lists of a row; every part draws the same sample. Leaves keys int64 [rows, 2]
    (threshold, guess) of rows longer than k, and kept_counts int32 [rows, PARTS * LISTS] of filtered ones."""
    number = tl.program_id(0) // PARTS
    part = tl.program_id(0) % PARTS
    row = logits + number.to(tl.int64) * width
    start = tl.load(starts + number)
    end = tl.load(ends + number)
    if end - start > k:
        threshold, guess, filtered = sample_window(row, start, end - start, k, DIRECT, SAMPLES)
        if part == 0:
            tl.store(keys + number * 2, threshold)
            tl.store(keys + number * 2 + 1, guess)
        if filtered:
            span = span_of(start, end, PARTS * LISTS)
            firsts = start + (part * LISTS + tl.arange(0, LISTS)) * span
            filter_lists(
                row, firsts, tl.minimum(firsts + span, end), span // (CHUNKS * LANES), score_of(threshold),
                kept_scores + number.to(tl.int64) * pitch, kept_columns + number.to(tl.int64) * pitch,
                kept_counts + (number * PARTS + part) * LISTS, LISTS, LANES,
            )  # fmt: skip


@triton.jit
def select_filtered(
    logits, starts, ends, out, kept_scores, kept_columns, kept_counts, keys, width, pitch, k,
    LISTS: tl.constexpr, LANES: tl.constexpr, DIRECT: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    """Steps 1, 4 and 5 for the row of this program, after `filter_parts`."""
    number = tl.program_id(0)
    row = logits + number.to(tl.int64) * width
    chosen = out + number.to(tl.int64) * k
    start = tl.load(starts + number)
    end = tl.load(ends + number)
    n = end - start
    if n <= k:
        whole_window(start, n, k, chosen, 1024)
    else:
        threshold = tl.load(keys + number * 2)
        guess = tl.load(keys + number * 2 + 1)
        select_listed(
            row, kept_scores + number.to(tl.int64) * pitch, kept_columns + number.to(tl.int64) * pitch,
            kept_counts + number * LISTS, start, end, k, threshold, guess,
            worth_filtering(n, k, threshold, DIRECT, SAMPLES), chosen, LISTS, LANES,
        )  # fmt: skip
