// What the threads of a block, and the blocks of a cluster, do together. Constants: THREADS, BLOCKS_A_ROW.
#pragma once

#include "types.cuh"

constexpr uint32_t ALL_LANES = 0xffffffffu;
constexpr int WARPS = THREADS / 32;
constexpr int BLOCKS_AN_SM = THREADS < 1024 ? 1024 / THREADS : 1;  // 32 warps an SM leave a thread 64 registers

static_assert(THREADS % 32 == 0 && WARPS <= 32, "a scan over warps takes one warp");

__device__ __forceinline__ int lane_number() { return threadIdx.x & 31; }

__device__ __forceinline__ int warp_number() { return threadIdx.x >> 5; }

// This block's number among those that share its row.
__device__ __forceinline__ int row_rank() { return BLOCKS_A_ROW > 1 ? __clusterRelativeBlockRank() : 0; }

// Every thread of the blocks that share a row waits for all; what was written to shared memory before is seen after.
__device__ __forceinline__ void row_sync() {
    if (BLOCKS_A_ROW > 1) {
        __cluster_barrier_arrive();
        __cluster_barrier_wait();
    } else {
        __syncthreads();
    }
}

// The counterpart, in block `rank` of this row, of a word in this block's shared memory.
__device__ __forceinline__ const uint32_t* of_rank(const uint32_t* word, int rank) {
    return BLOCKS_A_ROW > 1 ? (const uint32_t*)__cluster_map_shared_rank(word, rank) : word;
}

// Zeroes WORDS words of shared memory (16-byte aligned) for the whole block.
template <int WORDS>
__device__ __forceinline__ void clear_words(uint32_t* words) {
    constexpr int VECTORS = WORDS / 4;
#pragma unroll
    for (int i = 0; i < VECTORS; i += THREADS)
        if (i + THREADS <= VECTORS || i + threadIdx.x < VECTORS) ((uint4*)words)[i + threadIdx.x] = uint4{0, 0, 0, 0};
    __syncthreads();
}

// The sum of `value` over the lower lanes and this one.
__device__ __forceinline__ uint32_t warp_inclusive_sum(uint32_t value) {
#pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {
        uint32_t lower = __shfl_up_sync(ALL_LANES, value, distance);
        if (lane_number() >= distance) value += lower;
    }
    return value;
}

// The sum of `value` over the lower threads; `total`: over all. `warp_sums`: WARPS words that no one else uses.
__device__ __forceinline__ uint32_t block_exclusive_sum(uint32_t value, uint32_t* warp_sums, uint32_t& total) {
    uint32_t inclusive = warp_inclusive_sum(value);
    if (lane_number() == 31) warp_sums[warp_number()] = inclusive;
    __syncthreads();
    uint32_t sum = lane_number() < WARPS ? warp_sums[lane_number()] : 0;
    uint32_t lower = __reduce_add_sync(ALL_LANES, lane_number() < warp_number() ? sum : 0);
    total = __reduce_add_sync(ALL_LANES, sum);
    __syncthreads();  // warp_sums may be written again
    return lower + inclusive - value;
}

// Reserves `count` places behind *end (shared memory) for each thread and returns the first: one atomic a warp.
__device__ __forceinline__ uint32_t append(uint32_t* end, uint32_t count) {
    uint32_t inclusive = warp_inclusive_sum(count);
    uint32_t first = 0;
    if (lane_number() == 31 && inclusive > 0) first = atomicAdd(end, inclusive);
    return __shfl_sync(ALL_LANES, first, 31) + inclusive - count;
}
