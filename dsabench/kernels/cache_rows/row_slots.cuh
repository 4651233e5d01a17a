// Which rows a warp moves, and their slots.
//
// Constants: SLOT_BYTES (8 or 4), THREADS, ROWS_A_WARP.
#pragma once

#include "types.cuh"

#if SLOT_BYTES == 8
typedef int64_t slot_t;
#else
typedef int32_t slot_t;
#endif

// 48 warps an SM leave a thread 40 registers, 32 leave 64: room for one row and for two, without a spill.
constexpr int BLOCKS_AN_SM = (ROWS_A_WARP == 1 ? 1536 : 1024) / THREADS;

__device__ __forceinline__ int lane_number() { return threadIdx.x & 31; }

// Of this warp among all of the grid.
__device__ __forceinline__ int warp_number() { return blockIdx.x * (THREADS / 32) + (threadIdx.x >> 5); }

// The slot of a row; -1 where there is no such row or it has none among `capacity`.
__device__ __forceinline__ int64_t slot_of(const slot_t* slots, int row, int rows, int64_t capacity) {
    int64_t slot = row < rows ? (int64_t)__ldg(slots + row) : -1;
    return slot >= 0 && slot < capacity ? slot : -1;
}
