// Integer keys of scores, the two places a block finds them in, and the choice of one radix digit.
// Constants: THREADS, ITEMS, RADIX_BITS, BLOCKS_A_ROW, PARTS, SAMPLES, FIXED_WORDS.
#pragma once

#include "topk_block.cuh"

constexpr uint32_t OUTSIDE = 0;  // the key of a place that holds no score of the window
constexpr uint32_t NAN_KEY = 1;
constexpr uint32_t HIGHEST = 0xffffffffu;

static_assert(PARTS == 1 || SAMPLES > 0, "filters have a floor from a sample, or none");

// Unsigned keys in the order of the contract: OUTSIDE < NaN < -inf < … < -0 = +0 < … < +inf. `bits`: of a float32. Negating a
// negative number's bits gives 2³¹ - magnitude: -0 falls on +0.
__device__ __forceinline__ uint32_t order_key(uint32_t bits) {
    uint32_t key = (int32_t)bits < 0 ? 0u - bits : bits | 0x80000000u;
    float score = __uint_as_float(bits);
    return score != score ? NAN_KEY : key;
}

// The score whose key a bucket's lower end above NAN_KEY is. A bucket holds scores and digits begin at -inf: its end is no NaN's.
__device__ __forceinline__ float score_of(uint32_t key) {
    return __uint_as_float((int32_t)key < 0 ? key & 0x7fffffffu : 0u - key);
}

// What a thread looks at in one step: KEYS keys, OUTSIDE where there is none, and where they stand in the block's part.
struct Batch {
    // With a sample the loads in flight are those of its pass (keep_reaching); here 16 keys beside all else spilled.
    static constexpr int VECTORS = SAMPLES > 0 ? 2 : ITEMS;
    static constexpr int KEYS = 4 * VECTORS;

    uint32_t keys[KEYS];
    const uint32_t* places;  // of the survivors, or null: keys[4·i + e] is element e of vector i·THREADS + t of the row's chunk
    int base;

    __device__ __forceinline__ int place(int j) const {
        if (places) return (places + base + threadIdx.x)[j * THREADS];
        return base + in_chunk(j);
    }

    // Of a chunk of the row: where key j stands in it.
    __device__ __forceinline__ static int in_chunk(int j) { return 4 * (int)threadIdx.x + j / 4 * (4 * THREADS) + j % 4; }
};

// A share of a row's window: this block's, in chunks of as many 16-byte vectors as a block's threads hold in registers.
// DIVISIONS equal parts make up a window; a block that selects has as many of them as stand for it in a launch of filters.
// HOLDS: the chunk that was visited last stays in registers. Visits go up and down in turn, so that a part of one chunk is read once,
// however many are made; a longer one finds its end in L2.
struct RowPart {
    static constexpr int CHUNK = THREADS * Batch::KEYS;  // columns
    static constexpr int DIVISIONS = PARTS > 1 ? PARTS : BLOCKS_A_ROW;
    static constexpr bool HOLDS = SAMPLES == 0;  // else the survivors of the sample are looked at, the row seldom

    const uint32_t* row;  // the bits of column 0
    int first;            // column of the first vector: 16-byte aligned, up to 3 below `begin`; places count from it
    int begin, end;       // columns of the part
    bool down;            // the direction of the next `visit`
    int held;             // chunk in `batch`, or -1
    Batch batch;

    // Part `number` of `count` equal ones of [start, stop).
    __device__ __forceinline__ RowPart(const uint32_t* row, int start, int stop, int number, int count)
        : row(row), down(false), held(-1) {
        int aligned = start - (int)((uint64_t)(row + start) / 4 % 4);
        int vectors = (stop - aligned + 3) / 4;
        int division = ((vectors + DIVISIONS - 1) / DIVISIONS + 7) / 8 * 8;  // whole lines of 128 bytes
        int share = division * (DIVISIONS / count);
        first = aligned + 4 * share * number;
        begin = start > first ? start : first;
        end = stop < first + 4 * share ? stop : first + 4 * share;
        batch.places = nullptr;
    }

    __device__ __forceinline__ int chunks() const { return end > first ? (end - first + CHUNK - 1) / CHUNK : 0; }

    // Issues the loads of COUNT vectors of each thread, from place `base` on; nothing waits for them here.
    template <int COUNT>
    __device__ __forceinline__ void fetch(int base, uint4 (&raw)[COUNT]) const {
        int column = first + base + 4 * (int)threadIdx.x;
        const uint4* vectors = (const uint4*)(row + column);
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            // A vector that holds a score of the part: the 16 aligned bytes around it are memory, whoever's.
            raw[i] = column + 4 * i * THREADS < end ? __ldg(vectors + i * THREADS) : uint4{0, 0, 0, 0};
        }
    }

    __device__ __forceinline__ void read(int chunk, Batch& into) const {
        uint4 raw[Batch::VECTORS];
        into.places = nullptr;
        into.base = chunk * CHUNK;
        fetch(into.base, raw);
#pragma unroll
        for (int i = 0; i < Batch::VECTORS; ++i) {
            into.keys[4 * i] = order_key(raw[i].x);
            into.keys[4 * i + 1] = order_key(raw[i].y);
            into.keys[4 * i + 2] = order_key(raw[i].z);
            into.keys[4 * i + 3] = order_key(raw[i].w);
        }
        if (all_inside(into.base, CHUNK)) return;
#pragma unroll
        for (int j = 0; j < Batch::KEYS; ++j)
            if (!inside(into.base + Batch::in_chunk(j))) into.keys[j] = OUTSIDE;
    }

    // Which of COUNT vectors' scores reach `floor`, bit j for the score at base + in_chunk(j): two instructions a score, where a key
    // takes six.
    template <int COUNT>
    __device__ __forceinline__ uint32_t reaching(int base, const uint4 (&raw)[COUNT], float floor) const {
        uint32_t chosen = 0;
#pragma unroll
        for (int i = 0; i < COUNT; ++i) {
            chosen |= (uint32_t)(__uint_as_float(raw[i].x) >= floor) << 4 * i;
            chosen |= (uint32_t)(__uint_as_float(raw[i].y) >= floor) << (4 * i + 1);
            chosen |= (uint32_t)(__uint_as_float(raw[i].z) >= floor) << (4 * i + 2);
            chosen |= (uint32_t)(__uint_as_float(raw[i].w) >= floor) << (4 * i + 3);
        }
        if (all_inside(base, 4 * COUNT * THREADS)) return chosen;
#pragma unroll
        for (int j = 0; j < 4 * COUNT; ++j)
            if (!inside(base + Batch::in_chunk(j))) chosen &= ~(1u << j);
        return chosen;
    }

    // Whether a place is of the part, and whether `columns` of them are: the vectors at its ends hold others.
    __device__ __forceinline__ bool inside(int place) const { return first + place >= begin && first + place < end; }

    __device__ __forceinline__ bool all_inside(int base, int columns) const {
        return first + base >= begin && first + base + columns <= end;
    }

    // use(batch) for chunks [from, to), each read anew and upwards; every thread of the block goes along.
    template <class Use>
    __device__ __forceinline__ void pass(int from, int to, Use use) {
#pragma unroll 1
        for (int chunk = from; chunk < to; ++chunk) {
            Batch batch;
            read(chunk, batch);
            use(batch);
        }
    }

    // As `pass`, all chunks; what is held is not read again.
    template <class Use>
    __device__ __forceinline__ void visit(Use use) {
        if constexpr (!HOLDS) {
            pass(0, chunks(), use);
        } else {
            int count = chunks();
#pragma unroll 1
            for (int i = 0; i < count; ++i) {
                int chunk = down ? count - 1 - i : i;
                if (chunk != held) {
                    read(chunk, batch);
                    held = chunk;
                }
                use(batch);
            }
            down = !down;
        }
    }
};

// The survivors of this block's part, in no order: shared memory.
struct Kept {
    uint32_t* keys;
    uint32_t* places;
    int capacity;
    int count;

    template <class Use>
    __device__ __forceinline__ void visit(Use use) const {
        Batch batch;
        batch.places = places;
#pragma unroll 1
        for (batch.base = 0; batch.base < count; batch.base += THREADS * Batch::KEYS) {
            int left = count - batch.base - (int)threadIdx.x;
            const uint32_t* mine = keys + batch.base + threadIdx.x;
#pragma unroll
            for (int j = 0; j < Batch::KEYS; ++j) batch.keys[j] = j * THREADS < left ? mine[j * THREADS] : OUTSIDE;
            use(batch);
        }
    }
};

// The keys from `low` to `high` among which the k-th highest is. `above` and `inside` count the window's scores that are higher
// and those in it. It is narrowed by a digit at a time: its low `shift` bits are not looked at yet.
struct Bucket {
    uint32_t low, high;
    uint32_t above, inside;
    int shift;

    __device__ __forceinline__ Bucket(uint32_t scores) : low(0), high(HIGHEST), above(0), inside(scores), shift(32) {}

    __device__ __forceinline__ uint32_t lowest() const { return (low > NAN_KEY ? low : NAN_KEY); }  // low may be OUTSIDE

    __device__ __forceinline__ bool holds(uint32_t key) const { return key - lowest() <= high - lowest(); }

    // Nothing is left to decide: all of it is selected, or all of it is one value.
    __device__ __forceinline__ bool decided(uint32_t k) const { return inside == k - above || shift == 0; }
};

// WIDTH words that one instruction loads.
template <int WIDTH>
struct alignas(4 * WIDTH) Words {
    uint32_t n[WIDTH];
};

// The histogram of a digit, in shared memory.
struct Digits {
    static constexpr int BINS = 1 << RADIX_BITS;
    static constexpr int WORDS = 2048;
    static constexpr int COPIES = WORDS / BINS;  // lanes of a warp that count in one bin do it in this many banks
    static constexpr int A_THREAD = BINS > THREADS ? BINS / THREADS : 1;
    static_assert(RADIX_BITS == 8 || RADIX_BITS == 11, "one copy or eight: copies are summed by vectors of four");

    uint32_t* words;      // [BINS, COPIES]
    uint32_t* totals;     // [BINS]; where there is one copy it is `words`
    uint32_t* warp_sums;  // [WARPS]
    uint32_t* found;      // [3]

    __device__ __forceinline__ void clear() const { clear_words<WORDS>(words); }

    // One more key of `bucket` at its next digit, of which `shift` bits stand below.
    __device__ __forceinline__ void count(const Bucket& bucket, int shift, uint32_t key) const {
        if (!bucket.holds(key)) return;
        uint32_t bin = (key - bucket.low) >> shift;
        atomicAdd(words + bin * COPIES + lane_number() % COPIES, 1u);
    }

    // Narrows `bucket` to the bin that the k-th highest is in, when all threads have counted. `BLOCKS` share the count: all of
    // a row's, or 1 for a count that each block has made alone.
    template <int BLOCKS>
    __device__ __forceinline__ void narrow(Bucket& bucket, int shift, uint32_t k) const {
        if (COPIES > 1) {
            __syncthreads();
            for (int bin = threadIdx.x; bin < BINS; bin += THREADS) {
                uint32_t sum = 0;
#pragma unroll
                for (int i = 0; i < COPIES; i += 4) {
                    uint4 copies = *(const uint4*)(words + bin * COPIES + i);
                    sum += copies.x + copies.y + copies.z + copies.w;
                }
                totals[bin] = sum;
            }
        }
        if (BLOCKS > 1) row_sync();
        else __syncthreads();

        // Thread 0 has the highest bins, so that what is above a thread's bins is a sum over lower threads. Its bins stand side
        // by side and are loaded as vectors: words a stride apart would meet in a bank.
        constexpr int WIDTH = A_THREAD < 4 ? A_THREAD : 4;
        int lowest_bin = BINS - (int)(threadIdx.x + 1) * A_THREAD;  // negative where there are more threads than bins
        uint32_t counts[A_THREAD] = {}, sum = 0;
        if (lowest_bin >= 0) {
            // Two blocks' loads in flight: eight blocks' addresses at once spilled.
#pragma unroll 2
            for (int rank = 0; rank < BLOCKS; ++rank) {
                const uint32_t* theirs = (BLOCKS > 1 ? of_rank(totals, rank) : totals) + lowest_bin;
#pragma unroll
                for (int i = 0; i < A_THREAD; i += WIDTH) {
                    Words<WIDTH> bins = *(const Words<WIDTH>*)(theirs + i);
#pragma unroll
                    for (int e = 0; e < WIDTH; ++e) counts[i + e] += bins.n[e];
                }
            }
        }
#pragma unroll
        for (int i = 0; i < A_THREAD; ++i) sum += counts[i];
        uint32_t missing = k - bucket.above, all;
        uint32_t higher = block_exclusive_sum(sum, warp_sums, all);
        if (higher < missing && higher + sum >= missing) {
#pragma unroll
            for (int i = A_THREAD - 1; i >= 0; --i) {
                if (higher < missing && higher + counts[i] >= missing) {
                    found[0] = lowest_bin + i;
                    found[1] = higher;
                    found[2] = counts[i];
                }
                higher += counts[i];
            }
        }
        if (BLOCKS > 1) row_sync();  // and the counts of this block may be cleared
        else __syncthreads();
        bucket.low += found[0] << shift;
        bucket.high = bucket.low + ((1u << shift) - 1);
        bucket.above += found[1];
        bucket.inside = found[2];
        bucket.shift = shift;
    }
};

// What a block has of shared memory beside survivors: FIXED_WORDS words.
struct Scratch {
    static constexpr int TILE_WORDS = 4;  // of a bitmap of columns, of each thread
    static constexpr int BITMAP_WORDS = TILE_WORDS * THREADS;
    static constexpr int WORK_WORDS = 2 * BITMAP_WORDS > Digits::WORDS ? 2 * BITMAP_WORDS : Digits::WORDS;
    static constexpr int TOTALS_WORDS = Digits::COPIES > 1 ? Digits::BINS : 0;
    static_assert(FIXED_WORDS == WORK_WORDS + TOTALS_WORDS + 32 + 4 + 8, "the plan allocates what is used");

    uint32_t* work;       // [WORK_WORDS]: a histogram, or two bitmaps
    uint32_t* warp_sums;  // [32]
    uint32_t* counters;   // [8]
    Digits digits;

    __device__ __forceinline__ explicit Scratch(uint32_t* shared)
        : work(shared),
          warp_sums(shared + WORK_WORDS + TOTALS_WORDS),
          counters(shared + WORK_WORDS + TOTALS_WORDS + 32 + 4),
          digits{work, TOTALS_WORDS > 0 ? shared + WORK_WORDS : work, warp_sums, warp_sums + 32} {}
};
