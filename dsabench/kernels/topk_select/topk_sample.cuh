// A floor that, by a sample of a window, somewhat more than k scores reach, and the pass that keeps what does.
// Source: the sampled threshold of the CPU kernel here (impl_cpu.py).
#pragma once

#include "topk_radix.cuh"

#if SAMPLES
// Every block of a row takes the same sample and finds the same floor: no block waits for another's.
struct Sample {
    static constexpr int A_THREAD = SAMPLES / THREADS;
    static_assert(SAMPLES % THREADS == 0, "each thread takes as many");

    uint32_t bits[A_THREAD];

    // Issues the loads: one score of every stride, at golden-ratio steps inside it: even, and in step with no period of the scores.
    __device__ __forceinline__ void fetch(const uint32_t* window, int n) {
        int stride = n / SAMPLES;
#pragma unroll
        for (int i = 0; i < A_THREAD; ++i) {
            int sample = i * THREADS + threadIdx.x;
            bits[i] = __ldg(window + sample * stride + (((sample * 40503 & 0xffff) * stride) >> 16));
        }
    }

    // OUTSIDE where no use can be made of a floor: the window is short, k is a large share of it, or more scores would reach it than
    // `most`. The k-th highest is below the floor of 3 in 10 million random windows: five standard deviations.
    __device__ __forceinline__ uint32_t floor(int n, int k, int most, const Digits& digits) const {
        float share = (float)k / n;
        int rank = (int)(share * SAMPLES + 5.0f * sqrtf(share * (1.0f - share) * SAMPLES) + 4.0f);
        if (n < 4 * SAMPLES || 2 * rank > SAMPLES) return OUTSIDE;
        Bucket bucket(SAMPLES);
        do {
            int shift = bucket.shift > RADIX_BITS ? bucket.shift - RADIX_BITS : 0;
            digits.clear();
#pragma unroll
            for (uint32_t word : bits) digits.count(bucket, shift, order_key(word));
            digits.narrow<1>(bucket, shift, rank);
        } while (bucket.above + bucket.inside > rank + rank / 16 && bucket.shift > 0);
        int64_t survivors = (int64_t)(bucket.above + bucket.inside) * n / SAMPLES;
        return survivors <= most && bucket.low > NAN_KEY ? bucket.low : OUTSIDE;
    }
};
#endif

// Writes the scores that `chosen` says (bit j: the one at place base + in_chunk(j)) behind *end (shared memory, 0 before), as far as
// they fit; *end counts what there is. A place is written as its distance from `origin`. The few scores are read again, from L1: a
// register cannot be picked by a number, and a predicated store for each of a thread's scores costs all of them.
__device__ __forceinline__ void keep(const RowPart& part, int base, uint32_t chosen, const Kept& kept, int origin, uint32_t* end) {
    if (!__any_sync(ALL_LANES, chosen)) return;
    uint32_t at = append(end, __popc(chosen));
#pragma unroll 1
    for (; chosen != 0; chosen &= chosen - 1, ++at) {
        int place = base + Batch::in_chunk(__ffs(chosen) - 1);
        if (at >= (uint32_t)kept.capacity) break;
        kept.keys[at] = order_key(__ldg(part.row + part.first + place));
        kept.places[at] = place - origin;
    }
}

// `keep` of all of a part that reaches `floor`. raw: the loads from place 0 on, under way; later ones are before the stores of those
// before them.
__device__ __forceinline__ void keep_reaching(
    const RowPart& part, uint4 (&raw)[ITEMS], float floor, const Kept& kept, int origin, uint32_t* end) {
    constexpr int STEP = 4 * ITEMS * THREADS;  // columns
    int columns = part.end - part.first;
#pragma unroll 1
    for (int base = 0; base < columns; base += STEP) {
        uint32_t chosen = part.reaching(base, raw, floor);
        if (base + STEP < columns) part.fetch(base + STEP, raw);
        keep(part, base, chosen, kept, origin, end);
    }
}
