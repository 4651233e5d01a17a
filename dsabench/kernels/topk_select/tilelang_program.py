"""Exact top-k selection in TileLang for Hopper: radix select in shared memory, several blocks a row where rows are few.

Contract: REFERENCE §2, `top-k selection`. DETERMINISTIC: ascending columns, the lowest of equal scores; else any, in any order.

logits f32 [rows, width], starts, ends int32 [rows] -> out int32 [rows, k]: `select_rows`, a block a row. Of few rows `select_parts`
leaves the k highest of each of NUM_SPLITS parts in part_keys uint32 and part_columns int32 [rows, NUM_SPLITS · k], keys OUTSIDE behind
the fewer ones of a short part, and `merge_parts` selects from those. Shared memory: histogram [BINS], 2 sums a warp, counters,
kept_keys and kept_places [CAPACITY].

1. A window of at most k columns is returned whole; one of at most CAPACITY is kept, as keys, in shared memory.
2. A histogram of the keys' next RADIX_BITS narrows the bucket that the k-th highest is in.
3. When the bucket and what is above it fit CAPACITY, one more pass over the row keeps them; later digits are counted among those.
4. So on until all of the bucket is selected or it is one value. What never fits stays in the row: more passes over it.
5. A last pass writes what is above the bucket and, of the bucket, as many as are missing.
Each warp takes 32 · ITEMS neighbours of a chunk: ballots place a key among them, and before them stand the sums over lower warps and
chunks (DETERMINISTIC: all in order) or what the warp's atomic reserved.

Barriers are placed here by hand and indices are inside their tensors by the contract: PASS_CONFIGS of `impl_tilelang` say so.
Source: T. Alabi, J. D. Blanchard, B. Gordon, R. Steinbach, "Fast k-selection algorithms for graphics processing units", ACM J. Exp.
Algorithmics 17 (2012), doi:10.1145/2133803.2345676 (histogram select).
"""
# mypy: ignore-errors

# No `from __future__ import annotations`: TileLang evaluates the parameters' annotations, which name local variables.

from typing import Any, NamedTuple

import tilelang.language as T  # noqa: N812

OUTSIDE = 0
"""the key of a place that holds no score of the window"""
NAN_KEY = 1
WARP = 32
BIN, HIGHER, INSIDE, NEXT, NEXT_TIE, COUNTERS = range(6)
"""words of shared memory: the k-th highest's bin, the keys in higher bins and in it; the next free places"""


class Source(NamedTuple):
    """Keys to select from, by place. load(words, i, place): a macro that puts what stands there into words[i]; key(word): its key."""

    load: Any
    key: Any


def order_key(bits: Any) -> Any:
    """Unsigned keys in the order of the contract, from a float32's bits: OUTSIDE < NaN < -inf < … < -0 = +0 < … < +inf. Negating a
    negative number's bits gives 2³¹ - magnitude: -0 falls on +0. `bits` is a variable, not a load: TileLang 0.1.15 replaces a
    load by 0 under a condition on its own sign."""
    sign = T.uint32(1 << 31)
    key = T.if_then_else(bits >= sign, T.uint32(0) - bits, bits | sign)
    return T.if_then_else((bits & T.uint32(0x7FFFFFFF)) > T.uint32(0x7F800000), T.uint32(NAN_KEY), key)


def scores_from(logits: Any, row: Any, start: Any) -> Source:
    """A row's columns from `start` on."""

    @T.macro
    def load(words, i, place):
        words[i] = T.reinterpret(logits[row, start + place], "uint32")

    return Source(load, order_key)


def selected_of_parts(part_keys: Any, row: Any) -> Source:
    @T.macro
    def load(words, i, place):
        words[i] = part_keys[row, place]

    return Source(load, lambda word: word)


def kept_ones(kept_keys: Any) -> Source:
    @T.macro
    def load(words, i, place):
        words[i] = kept_keys[place]

    return Source(load, lambda word: word)


def lower_lanes(tx: Any) -> Any:
    """A word with the bits of the lanes below this thread's."""
    return (T.uint32(1) << T.cast(tx % WARP, "uint32")) - T.uint32(1)


def ballot(flag: Any) -> Any:
    return T.cast(T.ballot_sync(flag), "uint32")


def ones(word: Any) -> Any:
    """int32: as the uint32 that it is, an index would be computed in 32 bits."""
    return T.cast(T.popcount(word), "int32")


def selection_of(THREADS: int, ITEMS: int, RADIX_BITS: int, CAPACITY: int, DETERMINISTIC: bool) -> Any:
    """The macro selection(source, count, k, write, tx) that all kernels here are made of."""
    WARPS = THREADS // WARP
    CHUNK = THREADS * ITEMS
    BINS = 1 << RADIX_BITS
    BINS_A_THREAD = -(-BINS // THREADS)

    @T.macro
    def load(keys, source, count, first):
        """keys[i] of place first + 32 · i; all loads before any use."""
        for i in T.unroll(ITEMS):
            keys[i] = T.uint32(OUTSIDE)
            if first + i * WARP < count:
                source.load(keys, i, first + i * WARP)
        for i in T.unroll(ITEMS):
            keys[i] = T.if_then_else(first + i * WARP < count, source.key(keys[i]), T.uint32(OUTSIDE))

    @T.macro
    def sum_lower_warps(value, warp_sums, turn, lower, total, tx):
        """lower: the sum of `value`, one of each warp, over lower warps; total: over all. turn: 0 and 1 alternately where no other
        barrier stands between, as one may be written while the other is still read."""
        if tx % WARP == 0:
            warp_sums[turn, tx // WARP] = value
        T.sync_threads()
        mine = T.alloc_local((1,), "int32")
        mine[0] = 0
        if tx % WARP < WARPS:
            mine[0] = warp_sums[turn, tx % WARP]
        total[0] = T.warp_reduce_sum(mine[0])
        lower[0] = T.warp_reduce_sum(T.if_then_else(tx % WARP < tx // WARP, mine[0], 0))

    @T.macro
    def count_digit(source, count, low, span, shift, histogram, tx):
        """Counts the bucket's keys by their next digit, of which `shift` bits stand below."""
        keys = T.alloc_local((ITEMS,), "uint32")
        for step in T.serial(T.ceildiv(count, CHUNK)):
            first = T.alloc_var("int32", 0)
            first = step * CHUNK + tx // WARP * (WARP * ITEMS) + tx % WARP
            load(keys, source, count, first)
            for i in T.unroll(ITEMS):
                if keys[i] - low <= span:
                    T.atomic_add(histogram[T.cast((keys[i] - low) >> T.cast(shift, "uint32"), "int32")], 1)

    @T.macro
    def narrow(missing, histogram, warp_sums, counters, tx):
        """Leaves in `counters` the highest BIN from which on there are `missing` keys, the keys in higher bins and in it. Thread 0 has
        the highest bins, so that what is above a thread's bins is a sum over lower threads."""
        counts = T.alloc_local((BINS_A_THREAD,), "int32")
        own = T.alloc_var("int32", 0)
        for i in T.unroll(BINS_A_THREAD):
            counts[i] = 0
            if tx * BINS_A_THREAD + i < BINS:
                counts[i] = histogram[BINS - 1 - (tx * BINS_A_THREAD + i)]
            own = own + counts[i]
        upto = T.alloc_var("int32", 0)
        upto = own
        for i in T.unroll(5):
            below = T.shfl_up(upto, 1 << i)
            if tx % WARP >= (1 << i):
                upto = upto + below
        lower = T.alloc_local((1,), "int32")
        total = T.alloc_local((1,), "int32")
        sum_lower_warps(T.shfl_sync(upto, WARP - 1), warp_sums, 0, lower, total, tx)
        higher = T.alloc_var("int32", 0)
        higher = lower[0] + upto - own
        if higher < missing and higher + own >= missing:
            for i in T.unroll(BINS_A_THREAD):
                if higher < missing and higher + counts[i] >= missing:
                    counters[BIN] = BINS - 1 - (tx * BINS_A_THREAD + i)
                    counters[HIGHER] = higher
                    counters[INSIDE] = counts[i]
                higher = higher + counts[i]
        T.sync_threads()

    @T.macro
    def keep(source, count, low, kept_keys, kept_places, warp_sums, counters, tx):
        """Keeps the keys from `low` up, which fit, and their places; leaves their number in counters[NEXT]."""
        keys = T.alloc_local((ITEMS,), "uint32")
        words = T.alloc_local((ITEMS,), "uint32")
        at = T.alloc_local((1,), "int32")
        total = T.alloc_local((1,), "int32")
        own = T.alloc_var("int32", 0)
        written = T.alloc_var("int32", 0)
        if tx == 0:
            counters[NEXT] = 0
        T.sync_threads()
        for step in T.serial(T.ceildiv(count, CHUNK)):
            first = T.alloc_var("int32", 0)
            first = step * CHUNK + tx // WARP * (WARP * ITEMS) + tx % WARP
            load(keys, source, count, first)
            own = 0
            for i in T.unroll(ITEMS):
                words[i] = ballot(keys[i] >= low)
                own = own + ones(words[i])
            if DETERMINISTIC:
                sum_lower_warps(own, warp_sums, step % 2, at, total, tx)
                at[0] += written
                written = written + total[0]
            else:
                at[0] = 0
                if tx % WARP == 0 and own > 0:
                    at[0] = T.atomic_add(counters[NEXT], own, return_prev=True)
                at[0] = T.shfl_sync(at[0], 0)
            for i in T.unroll(ITEMS):
                if keys[i] >= low:
                    place = T.alloc_var("int32", 0)
                    place = at[0] + ones(words[i] & lower_lanes(tx))
                    kept_keys[place] = keys[i]
                    kept_places[place] = first + i * WARP
                at[0] += ones(words[i])
        if DETERMINISTIC and tx == 0:
            counters[NEXT] = written
        T.sync_threads()

    @T.macro
    def emit(source, count, low, span, above, taken, write, warp_sums, counters, tx):
        """write(place, key, at) for the `above` keys above the bucket and the first `taken` of it; `at` numbers them."""
        keys = T.alloc_local((ITEMS,), "uint32")
        words = T.alloc_local((ITEMS,), "uint32")
        tie_words = T.alloc_local((ITEMS,), "uint32")
        at = T.alloc_local((1,), "int32")
        tie = T.alloc_local((1,), "int32")
        total = T.alloc_local((1,), "int32")
        own = T.alloc_var("int32", 0)
        own_ties = T.alloc_var("int32", 0)
        written = T.alloc_var("int32", 0)
        written_ties = T.alloc_var("int32", 0)
        if tx == 0:
            counters[NEXT] = 0
            counters[NEXT_TIE] = 0
        T.sync_threads()
        for step in T.serial(T.ceildiv(count, CHUNK)):
            first = T.alloc_var("int32", 0)
            first = step * CHUNK + tx // WARP * (WARP * ITEMS) + tx % WARP
            load(keys, source, count, first)
            own = 0
            own_ties = 0
            for i in T.unroll(ITEMS):
                words[i] = ballot(T.And(keys[i] >= low, keys[i] - low > span))
                tie_words[i] = ballot(keys[i] - low <= span)
                own = own + ones(words[i])
                own_ties = own_ties + ones(tie_words[i])
            if DETERMINISTIC:
                # Both in one sum: a chunk has at most 2¹³ keys.
                sum_lower_warps(own + own_ties * (1 << 16), warp_sums, step % 2, at, total, tx)
                tie[0] = written_ties + (at[0] >> 16)
                at[0] = written + (at[0] & 0xFFFF)
                written_ties = written_ties + (total[0] >> 16)
                written = written + (total[0] & 0xFFFF)
            else:
                at[0] = 0
                tie[0] = 0
                if tx % WARP == 0:
                    if own > 0:
                        at[0] = T.atomic_add(counters[NEXT], own, return_prev=True)
                    if own_ties > 0:
                        tie[0] = T.atomic_add(counters[NEXT_TIE], own_ties, return_prev=True)
                at[0] = T.shfl_sync(at[0], 0)
                tie[0] = T.shfl_sync(tie[0], 0)
            for i in T.unroll(ITEMS):
                if keys[i] >= low:
                    higher = T.alloc_var("int32", 0)
                    equal = T.alloc_var("int32", 0)
                    higher = at[0] + ones(words[i] & lower_lanes(tx))
                    equal = tie[0] + ones(tie_words[i] & lower_lanes(tx))
                    if keys[i] - low > span:
                        write(first + i * WARP, keys[i], higher + (T.min(equal, taken) if DETERMINISTIC else 0))
                    elif equal < taken:
                        write(first + i * WARP, keys[i], equal + (higher if DETERMINISTIC else above))
                at[0] += ones(words[i])
                tie[0] += ones(tie_words[i])

    @T.macro
    def selection(source, count, k, write, tx):
        """write(place, key, at) for the k highest of more than k keys, of places [0, count) of a source; `at` numbers them."""
        histogram = T.alloc_shared((BINS,), "int32")
        warp_sums = T.alloc_shared((2, WARPS), "int32")
        counters = T.alloc_shared((COUNTERS,), "int32")
        kept_keys = T.alloc_shared((CAPACITY,), "uint32")
        kept_places = T.alloc_shared((CAPACITY,), "int32")
        # The bucket: keys from `low` to `low + span`, whose low `shift` bits are not looked at yet.
        low = T.alloc_var("uint32", NAN_KEY)
        span = T.alloc_var("uint32", 0xFFFFFFFF - NAN_KEY)
        shift = T.alloc_var("int32", 32)
        above = T.alloc_var("int32", 0)
        inside = T.alloc_var("int32", 0)
        kept_count = T.alloc_var("int32", 0)
        inside = count  # or fewer, where parts were short
        write_kept = writer_of_kept(kept_places, write)

        while shift > 0 and above + inside != k:
            if kept_count == 0 and above + inside <= CAPACITY:
                keep(source, count, low, kept_keys, kept_places, warp_sums, counters, tx)
                kept_count = counters[NEXT]
            shift = T.max(shift - RADIX_BITS, 0)
            for i in T.unroll(BINS_A_THREAD):
                if i * THREADS + tx < BINS:
                    histogram[i * THREADS + tx] = 0
            T.sync_threads()
            if kept_count > 0:
                count_digit(kept_ones(kept_keys), kept_count, low, span, shift, histogram, tx)
            else:
                count_digit(source, count, low, span, shift, histogram, tx)
            T.sync_threads()
            narrow(k - above, histogram, warp_sums, counters, tx)
            low = low + (T.cast(counters[BIN], "uint32") << T.cast(shift, "uint32"))
            # At most up to the highest word: OUTSIDE would be in a bucket that wraps around.
            span = T.min((T.uint32(1) << T.cast(shift, "uint32")) - T.uint32(1), T.uint32(0xFFFFFFFF) - low)
            above = above + counters[HIGHER]
            inside = counters[INSIDE]
            T.sync_threads()
        if kept_count > 0:
            emit(kept_ones(kept_keys), kept_count, low, span, above, k - above, write_kept, warp_sums, counters, tx)
        else:
            emit(source, count, low, span, above, k - above, write, warp_sums, counters, tx)

    return selection


def writer_of_kept(kept_places: Any, write: Any) -> Any:
    """`write` for places among the kept keys."""

    @T.macro
    def write_kept(place, key, at):
        write(kept_places[place], key, at)

    return write_kept


def writer_of_columns(out: Any, row: Any, start: Any) -> Any:
    @T.macro
    def write(place, key, at):
        out[row, at] = start + place

    return write


def writer_of_part(part_keys: Any, part_columns: Any, row: Any, first: Any, start: Any) -> Any:
    @T.macro
    def write(place, key, at):
        part_keys[row, first + at] = key
        part_columns[row, first + at] = start + place

    return write


def writer_of_merged(out: Any, part_columns: Any, row: Any) -> Any:
    @T.macro
    def write(place, key, at):
        out[row, at] = part_columns[row, place]

    return write


@T.macro
def write_whole(out, row, start, n, k, tx, THREADS):
    """The columns of a window of n <= k, then -1."""
    for i in T.serial(T.ceildiv(k - tx, THREADS)):
        out[row, i * THREADS + tx] = T.if_then_else(i * THREADS + tx < n, start + i * THREADS + tx, -1)


def select_rows(THREADS: int, ITEMS: int, RADIX_BITS: int, CAPACITY: int, DETERMINISTIC: bool) -> Any:
    """The whole of it, a block a row."""
    selection = selection_of(THREADS, ITEMS, RADIX_BITS, CAPACITY, DETERMINISTIC)
    rows, width, k = T.dynamic("rows"), T.dynamic("width"), T.dynamic("k")

    @T.prim_func
    def select_rows_kernel(
        logits: T.Tensor((rows, width), "float32"),
        starts: T.Tensor((rows,), "int32"),
        ends: T.Tensor((rows,), "int32"),
        out: T.Tensor((rows, k), "int32"),
    ):
        with T.Kernel(rows, threads=THREADS) as row:
            tx = T.get_thread_binding(0)
            start = starts[row]
            n = ends[row] - start
            if n <= k:
                write_whole(out, row, start, n, k, tx, THREADS)
            else:
                selection(scores_from(logits, row, start), n, k, writer_of_columns(out, row, start), tx)

    return select_rows_kernel


def select_parts(THREADS: int, ITEMS: int, RADIX_BITS: int, CAPACITY: int, DETERMINISTIC: bool, NUM_SPLITS: int) -> Any:
    """The k highest of each part of the windows that hold more than k, a block a part."""
    selection = selection_of(THREADS, ITEMS, RADIX_BITS, CAPACITY, DETERMINISTIC)
    rows, width, candidates = T.dynamic("rows"), T.dynamic("width"), T.dynamic("candidates")

    @T.prim_func
    def select_parts_kernel(
        logits: T.Tensor((rows, width), "float32"),
        starts: T.Tensor((rows,), "int32"),
        ends: T.Tensor((rows,), "int32"),
        part_keys: T.Tensor((rows, candidates), "uint32"),
        part_columns: T.Tensor((rows, candidates), "int32"),
        k: T.int32,
    ):
        with T.Kernel(NUM_SPLITS, rows, threads=THREADS) as (part, row):
            tx = T.get_thread_binding(0)
            n = ends[row] - starts[row]
            share = T.ceildiv(n, NUM_SPLITS)
            start = starts[row] + part * share
            count = T.alloc_var("int32", 0)
            count = T.min(share, n - part * share)  # negative for the last parts of a short window
            if n > k:
                source = scores_from(logits, row, start)
                write = writer_of_part(part_keys, part_columns, row, part * k, start)
                if count > k:
                    selection(source, count, k, write, tx)
                else:
                    word = T.alloc_local((1,), "uint32")
                    for i in T.serial(T.ceildiv(k - tx, THREADS)):
                        word[0] = T.uint32(OUTSIDE)
                        if i * THREADS + tx < count:
                            source.load(word, 0, i * THREADS + tx)
                            word[0] = source.key(word[0])
                        write(i * THREADS + tx, word[0], i * THREADS + tx)

    return select_parts_kernel


def merge_parts(THREADS: int, ITEMS: int, RADIX_BITS: int, CAPACITY: int, DETERMINISTIC: bool) -> Any:
    """A row's selection from those of its parts, a block a row."""
    selection = selection_of(THREADS, ITEMS, RADIX_BITS, CAPACITY, DETERMINISTIC)
    rows, candidates, k = T.dynamic("rows"), T.dynamic("candidates"), T.dynamic("k")

    @T.prim_func
    def merge_parts_kernel(
        starts: T.Tensor((rows,), "int32"),
        ends: T.Tensor((rows,), "int32"),
        part_keys: T.Tensor((rows, candidates), "uint32"),
        part_columns: T.Tensor((rows, candidates), "int32"),
        out: T.Tensor((rows, k), "int32"),
    ):
        with T.Kernel(rows, threads=THREADS) as row:
            tx = T.get_thread_binding(0)
            start = starts[row]
            n = ends[row] - start
            if n <= k:
                write_whole(out, row, start, n, k, tx, THREADS)
            else:
                count = T.alloc_var("int32", 0)
                count = candidates  # a copy: TileLang renames a dimension to the macro's parameter that takes it
                source = selected_of_parts(part_keys, row)
                selection(source, count, k, writer_of_merged(out, part_columns, row), tx)

    return merge_parts_kernel
