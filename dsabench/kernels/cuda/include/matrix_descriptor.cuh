// 64-bit descriptors of wgmma's operands in shared memory (PTX ISA, "Asynchronous warpgroup-level matrix shared memory layout").
//
// In the 128-byte swizzle, which everything here uses, a tile is made of atoms of 8 rows of 128 bytes, 1024-byte aligned; the 16-byte
// chunk c of row r stands at chunk c ^ r: `swizzled`.
// K-major: a row is one m (or n) with 64 bf16 or 128 e4m3 of k; the next 8 rows of m are the next atom, 1024 bytes on.
// MN-major: a row is one k with 64 bf16 of m (or n); the next 8 of k are the next atom, 1024 bytes on; the next 64 of m are
// `leading_bytes` on.
#pragma once

#include "shared_memory.cuh"

constexpr uint32_t SWIZZLE_ROW = 128;    // bytes
constexpr uint32_t SWIZZLE_ATOM = 1024;  // bytes

// Where byte `column`, under 128, of row `row` of a swizzled tile stands, from the tile's start.
__device__ __forceinline__ uint32_t swizzled(uint32_t row, uint32_t column) {
    return row * SWIZZLE_ROW + (column ^ (row % 8 * 16));
}

// start: 16-byte aligned; offsets: multiples of 16 under 2¹⁸.
__device__ __forceinline__ uint64_t matrix_descriptor(const void* start, uint32_t leading_bytes, uint32_t stride_bytes) {
    constexpr uint64_t SWIZZLE_128 = 1;
    uint64_t address = (shared_address(start) & 0x3ffff) >> 4, leading = leading_bytes >> 4, stride = stride_bytes >> 4;
    return address | leading << 16 | stride << 32 | SWIZZLE_128 << 62;
}

// Of 64 rows of m, or N rows of n, of which each has 128 bytes of k. The next 32 bytes of k, one wgmma's, are `advanced` by 32.
__device__ __forceinline__ uint64_t k_major_descriptor(const void* tile) {
    return matrix_descriptor(tile, 16, SWIZZLE_ATOM);  // the leading offset is not used: k of one wgmma lies within a row
}

// Of k rows of 64 m (or n) each; `leading_bytes`: from 64 columns to the next 64. The next 16 of k are `advanced` by 2048.
__device__ __forceinline__ uint64_t mn_major_descriptor(const void* tile, uint32_t leading_bytes) {
    return matrix_descriptor(tile, leading_bytes, SWIZZLE_ATOM);
}

// The descriptor of what starts `bytes`, a multiple of 16, further.
__device__ __forceinline__ uint64_t advanced(uint64_t descriptor, uint32_t bytes) { return descriptor + (bytes >> 4); }
