// Exact top-k selection on Hopper by radix select, BLOCKS_A_ROW blocks (a cluster) a row.
//
// Contract: REFERENCE §2, `top-k selection`. logits f32 [rows, width], starts, ends int32 [rows] -> out int32 [rows, k].
// DETERMINISTIC: ascending columns, the lowest of equal scores; else any of them, in any order.
// Shared memory: FIXED_WORDS words, then `capacity` keys and `capacity` places of survivors.
//
// 1. A window of at most k columns is returned whole. Each block takes its part of a longer one.
// 2. With SAMPLES: a floor that, by a sample, somewhat more than k scores reach; one pass keeps what does. With PARTS > 1 that was the
//    work of an earlier launch (topk_filter.cu), and what it kept is brought here.
// 3. A histogram of RADIX_BITS bits, summed over the cluster, narrows the bucket of the k-th highest: of the survivors, or, without
//    any, of the row. When what is in the bucket and above it fits, another pass over the row keeps that.
// 4. So on, a digit at a time, until all of the bucket is selected or it is one value.
// 5. What is above the bucket is selected, and of the bucket as many as are missing: the first, by bitmaps of the columns.
// What fits nowhere (a misled sample, ties) stays in the row: more passes over it, the same result.
//
// Source: T. Alabi, J. D. Blanchard, B. Gordon, R. Steinbach, "Fast k-selection algorithms for graphics processing units", ACM J.
// Exp. Algorithmics 17 (2012), doi:10.1145/2133803.2345676 (histogram select); the sampled floor is that of the CPU kernel here.
#include "topk_sample.cuh"

// The tests run this file's blocks on a CPU, each with shared memory of its own.
#ifndef DYNAMIC_SHARED
extern __shared__ uint4 dynamic_shared[];
#define DYNAMIC_SHARED dynamic_shared
#endif

#if BLOCKS_A_ROW > 1
#define OF_CLUSTER __cluster_dims__(CLUSTER, 1, 1)
static_assert(CLUSTER == BLOCKS_A_ROW, "the blocks of a row are a cluster");
#else
#define OF_CLUSTER
#endif

enum Counter { SURVIVORS, COLLECTED, SURE_HERE, TIES_HERE, SURE_NEXT, TIES_NEXT, COUNTERS };
constexpr int TILE = 32 * Scratch::BITMAP_WORDS;  // columns of a bitmap
static_assert(4 * ITEMS <= 32 && TILE % RowPart::CHUNK == 0, "a chunk's choice is a word; a tile is whole chunks");

#if PARTS > 1
// Brings what the filters of this block's parts have kept into shared memory, as far as it fits; *end (0 before) counts it, and
// passes the capacity where a filter had no room or no floor. PARTS_HERE words of `firsts` are written.
__device__ __forceinline__ void gather(const Kept& kept, const uint32_t* keys, const uint32_t* columns, const uint32_t* counts,
                                       int room, int origin, uint32_t* firsts, uint32_t* end) {
    constexpr int PARTS_HERE = PARTS / BLOCKS_A_ROW, LANES = THREADS / PARTS_HERE;  // a part is brought by LANES threads
    static_assert(PARTS % BLOCKS_A_ROW == 0 && THREADS % PARTS_HERE == 0, "every part is brought by as many threads");
    int here = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    int part = blockIdx.x / BLOCKS_A_ROW * PARTS + row_rank() * PARTS_HERE + here;
    uint32_t count = __ldg(counts + part);
    if (lane == 0) firsts[here] = atomicAdd(end, count > (uint32_t)room ? kept.capacity + 1u : count);
    __syncthreads();
    uint32_t first = firsts[here];
    if (count > (uint32_t)room || first + count > (uint32_t)kept.capacity) return;
    keys += (int64_t)part * room;
    columns += (int64_t)part * room;
#pragma unroll 4
    for (uint32_t i = lane; i < count; i += LANES) {
        kept.keys[first + i] = __ldg(keys + i);
        kept.places[first + i] = __ldg(columns + i) - origin;
    }
}
#endif

// Which of a batch's keys are above the bucket, and which in it: bit j for key j.
__device__ __forceinline__ void choose(const Batch& batch, const Bucket& bucket, uint32_t& above, uint32_t& tied) {
    above = tied = 0;
#pragma unroll
    for (int j = 0; j < Batch::KEYS; ++j) {
        above |= (uint32_t)(batch.keys[j] > bucket.high) << j;
        tied |= (uint32_t)bucket.holds(batch.keys[j]) << j;
    }
}

// Whether the survivors of every block of this row are all kept, and are k or more.
__device__ __forceinline__ bool survivors_suffice(const uint32_t* survivors, uint32_t k, uint32_t capacity) {
    row_sync();
    uint32_t all = 0;
    bool fit = true;
#pragma unroll 1
    for (int rank = 0; rank < BLOCKS_A_ROW; ++rank) {
        uint32_t theirs = *of_rank(survivors, rank);
        all += theirs;
        fit = fit && theirs <= capacity;
    }
    return fit && all >= k;
}

// kept_keys, kept_columns, kept_counts, room: of `filter_parts`; read where PARTS > 1.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AN_SM) OF_CLUSTER
select_rows(const uint32_t* logits, const int* starts, const int* ends, int* out, const uint32_t* kept_keys,
            const uint32_t* kept_columns, const uint32_t* kept_counts, int width, int k, int capacity, int room) {
    uint32_t* shared = (uint32_t*)DYNAMIC_SHARED;
    Scratch scratch(shared);
    uint32_t *work = scratch.work, *warp_sums = scratch.warp_sums, *counters = scratch.counters;
    const Digits& digits = scratch.digits;
    Kept kept = {shared + FIXED_WORDS, shared + FIXED_WORDS + capacity, capacity, 0};

    int number = blockIdx.x / BLOCKS_A_ROW, rank = row_rank();
    const uint32_t* row = logits + (int64_t)number * width;
    int start = starts[number], n = ends[number] - start;
    if (n <= k) {
        out += (int64_t)number * k;
        for (int i = rank * THREADS + threadIdx.x; i < k; i += BLOCKS_A_ROW * THREADS) out[i] = i < n ? start + i : -1;
        return;
    }
    if (threadIdx.x < COUNTERS) counters[threadIdx.x] = 0;
    __syncthreads();

    RowPart part(row, start, start + n, rank, BLOCKS_A_ROW);
    Bucket bucket(n);
    bool in_kept = false;
#if PARTS > 1
    gather(kept, kept_keys, kept_columns, kept_counts, room, part.first, work, counters + SURVIVORS);
    in_kept = survivors_suffice(counters + SURVIVORS, k, capacity);
#elif SAMPLES
    Sample sample;
    uint4 raw[ITEMS];
    sample.fetch(row + start, n);
    part.fetch(0, raw);
    uint32_t floor = sample.floor(n, k, capacity * BLOCKS_A_ROW / 4 * 3, digits);
    if (floor != OUTSIDE) {
        keep_reaching(part, raw, score_of(floor), kept, 0, counters + SURVIVORS);
        in_kept = survivors_suffice(counters + SURVIVORS, k, capacity);
    }
#endif
    if (in_kept) kept.count = counters[SURVIVORS];
    do {
        int shift = bucket.shift > RADIX_BITS ? bucket.shift - RADIX_BITS : 0;
        digits.clear();
        auto count = [&](const Batch& batch) {
#pragma unroll
            for (uint32_t key : batch.keys) digits.count(bucket, shift, key);
        };
        if (in_kept) kept.visit(count);
        else part.visit(count);
        digits.narrow<BLOCKS_A_ROW>(bucket, shift, k);
        if (!in_kept && !bucket.decided(k) && bucket.above + bucket.inside <= (uint32_t)capacity) {
            part.visit([&](const Batch& batch) {
                uint32_t chosen = 0;
#pragma unroll
                for (int j = 0; j < Batch::KEYS; ++j) chosen |= (uint32_t)(batch.keys[j] >= bucket.lowest()) << j;
                keep(part, batch.base, chosen, kept, 0, counters + COLLECTED);
            });
            __syncthreads();
            in_kept = true;
            kept.count = counters[COLLECTED];
        }
    } while (!bucket.decided(k));

    // Of this block's part: all `sure` scores above the bucket and the first `taken` of it go to selected[first, …).
    uint32_t first = 0, sure = bucket.above, taken = k - bucket.above;
    if (BLOCKS_A_ROW > 1) {
        uint32_t sure_here = 0, ties_here = 0;
        auto tally = [&](const Batch& batch) {
            uint32_t above, tied;
            choose(batch, bucket, above, tied);
            sure_here += __popc(above);
            ties_here += __popc(tied);
        };
        if (in_kept) kept.visit(tally);
        else part.pass(0, part.chunks(), tally);
        sure_here = __reduce_add_sync(ALL_LANES, sure_here);
        ties_here = __reduce_add_sync(ALL_LANES, ties_here);
        if (lane_number() == 0) {
            atomicAdd(counters + SURE_HERE, sure_here);
            atomicAdd(counters + TIES_HERE, ties_here);
        }
        row_sync();
        uint32_t missing = taken;
#pragma unroll 1
        for (int r = 0; r < BLOCKS_A_ROW; ++r) {
            uint32_t theirs = *of_rank(counters + SURE_HERE, r), ties = *of_rank(counters + TIES_HERE, r);
            uint32_t of_theirs = ties < missing ? ties : missing;
            if (r == rank) {
                sure = theirs;
                taken = of_theirs;
            }
            if (r < rank) first += theirs + of_theirs;
            missing -= of_theirs;
        }
        row_sync();  // no block ends while its shared memory may be read
    }
    int* selected = out + (int64_t)number * k + first;

#if DETERMINISTIC
    const uint32_t *above = work, *tied = work + Scratch::BITMAP_WORDS;  // bitmaps of a tile of columns
    constexpr int TILE_CHUNKS = TILE / RowPart::CHUNK;
    uint32_t missing = taken, written = 0;
#pragma unroll 1
    for (int tile = 0; tile * TILE_CHUNKS < part.chunks(); ++tile) {
        clear_words<2 * Scratch::BITMAP_WORDS>(work);
        auto mark_kept = [&](const Batch& batch) {
#pragma unroll
            for (int j = 0; j < Batch::KEYS; ++j) {
                if (batch.keys[j] < bucket.lowest()) continue;
                uint32_t at = batch.place(j) - tile * TILE;
                uint32_t word = at / 32 + (batch.keys[j] > bucket.high ? 0 : Scratch::BITMAP_WORDS);
                if (at < TILE) atomicOr(work + word, 1u << at % 32);
            }
        };
        auto mark = [&](const Batch& batch) {  // the four columns of a vector are four bits of one word
            uint32_t above, tied, at = batch.place(0) - tile * TILE;
            choose(batch, bucket, above, tied);
#pragma unroll
            for (int j = 0; j < Batch::KEYS; j += 4) {
                uint32_t *word = work + at / 32 + j * THREADS / 32;
                if (above >> j & 15) atomicOr(word, (above >> j & 15) << at % 32);
                if (tied >> j & 15) atomicOr(word + Scratch::BITMAP_WORDS, (tied >> j & 15) << at % 32);
            }
        };
        int to = (tile + 1) * TILE_CHUNKS;
        if (in_kept) kept.visit(mark_kept);
        else part.pass(tile * TILE_CHUNKS, to < part.chunks() ? to : part.chunks(), mark);
        __syncthreads();

        uint32_t ties[Scratch::TILE_WORDS], chosen[Scratch::TILE_WORDS], count = 0, total;
#pragma unroll
        for (int i = 0; i < Scratch::TILE_WORDS; ++i) {
            ties[i] = tied[threadIdx.x * Scratch::TILE_WORDS + i];
            count += __popc(ties[i]);
        }
        uint32_t lower = block_exclusive_sum(count, warp_sums, total);
        uint32_t left = lower < missing ? missing - lower : 0;
        missing = total < missing ? missing - total : 0;
        count = 0;
#pragma unroll
        for (int i = 0; i < Scratch::TILE_WORDS; ++i) {
            uint32_t here = __popc(ties[i]), take = here < left ? here : left;
            for (uint32_t drop = here - take; drop > 0; --drop) ties[i] &= ~(0x80000000u >> __clz(ties[i]));
            left -= take;
            chosen[i] = ties[i] | above[threadIdx.x * Scratch::TILE_WORDS + i];
            count += __popc(chosen[i]);
        }
        uint32_t at = written + block_exclusive_sum(count, warp_sums, total);
        written += total;
#pragma unroll
        for (int i = 0; i < Scratch::TILE_WORDS; ++i) {
            int column = part.first + tile * TILE + 32 * (threadIdx.x * Scratch::TILE_WORDS + i);
            for (uint32_t bits = chosen[i]; bits != 0; bits &= bits - 1) selected[at++] = column + __ffs(bits) - 1;
        }
    }
#else
    auto write = [&](const Batch& batch) {
        uint32_t above, tied;
        choose(batch, bucket, above, tied);
        if (!__any_sync(ALL_LANES, above | tied)) return;
        uint32_t at = append(counters + SURE_NEXT, __popc(above)), tie = append(counters + TIES_NEXT, __popc(tied));
#pragma unroll
        for (int j = 0; j < Batch::KEYS; ++j) {
            if (!((above | tied) >> j & 1)) continue;
            int column = part.first + batch.place(j);
            if (above >> j & 1) {
                selected[at++] = column;
            } else {
                if (tie < taken) selected[sure + tie] = column;
                ++tie;
            }
        }
    };
    if (in_kept) kept.visit(write);
    else part.pass(0, part.chunks(), write);
#endif
}
