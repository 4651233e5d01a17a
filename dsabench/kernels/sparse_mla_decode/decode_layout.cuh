// What a block of `attend_split` holds in shared memory, and who waits for whom.
//
// A tile is BLOCK_KV tokens in bf16, as PANELS panels of 64 columns: a panel is BLOCK_KV rows of 128 bytes in the 128-byte swizzle,
// which wgmma reads with tokens as rows (K of Q·Kᵀ) and with columns as rows (V of P·V). Q lies in panels of its heads likewise.
// Panel 2g has the even, panel 2g + 1 the odd dims of group g (GROUP dims that share a scale), the last panel the rope dims in order:
// column c of panel 2g + p is dim GROUP·g + 2c + p. Q·Kᵀ does not see the order of the dims; of the output it gives one thread four
// consecutive dims in panels 2g and 2g + 1; and four codes of a 32-bit word become two pairs of bf16 without a byte permutation.
//
// Constants of the plan: LATENT, ROPE, GROUP, TOKEN_BYTES, SCALE_OFFSET, ROPE_OFFSET (kernels/kv_cache.py), GATHERS, Q_PANELS,
// SHARED_BYTES.
#pragma once

#include "mbarrier.cuh"
#include "matrix_descriptor.cuh"

constexpr int BLOCK_H = 64;   // heads: the rows of a wgmma
constexpr int BLOCK_KV = 64;  // tokens: two tiles of 72 KB and Q are what fits
constexpr int STAGES = 2;
constexpr int COLUMNS = 64;   // of a panel
constexpr int PANELS = (LATENT + ROPE) / COLUMNS;
constexpr int LATENT_PANELS = LATENT / COLUMNS;
constexpr uint32_t PANEL_BYTES = BLOCK_KV * SWIZZLE_ROW;
constexpr uint32_t TILE_BYTES = PANELS * PANEL_BYTES;
#ifdef CLUSTER
constexpr int BLOCKS_A_TILE = CLUSTER;  // each dequantizes its share of a tile's tokens for all
#else
constexpr int BLOCKS_A_TILE = 1;
#endif
constexpr int OWN_TOKENS = BLOCK_KV / BLOCKS_A_TILE;

constexpr int WARPGROUP = 128;
constexpr int CONSUMERS = 2;  // warpgroups; each has half of the output's columns in registers
constexpr int CONSUMER_WARPS = 4 * CONSUMERS;
constexpr int PRODUCER_WARPS = 4;  // with eight, 512 threads would start with 128 registers: fewer than the output's wgmma names
constexpr int THREADS = 32 * (CONSUMER_WARPS + PRODUCER_WARPS);
constexpr int OUT_COLUMNS = LATENT / CONSUMERS;
constexpr uint32_t ALL_LANES = 0xffffffffu;

static_assert(BLOCK_H == BLOCK_KV, "panels of Q and of a tile, and P, are of one size");
static_assert(GROUP == 2 * COLUMNS && LATENT % (CONSUMERS * GROUP) == 0 && ROPE == COLUMNS, "panels of even and odd dims");
static_assert(BLOCKS_A_TILE == 1 || BLOCKS_A_TILE == 2, "a block and its peer");
static_assert(OWN_TOKENS % (4 * PRODUCER_WARPS) == 0, "a warp dequantizes four tokens at a time");

struct Shared {
    unsigned char tiles[STAGES][TILE_BYTES];
    unsigned char q[TILE_BYTES];
    unsigned char weights[PANEL_BYTES];   // P, bf16 [BLOCK_H][BLOCK_KV], K-major
    float bias[STAGES][BLOCK_KV];         // of a token's scores: 0, or -infinity where there is no token
    float factor[BLOCK_H];                // what the first warpgroup wants the output's rows multiplied by
    uint64_t full[STAGES];                // a tile and its bias are there: this block's producers, the peer's bytes
    uint64_t free[STAGES];                // all that used a tile, in all blocks, have done so
    uint64_t weights_full, weights_free;  // the weights and the factor: from the first warpgroup to the second
};
static_assert(sizeof(Shared) == SHARED_BYTES, "the plan asks for what is used");

// Stage and parity of the phase of tile `t`, for who waits until it is full; who waits until it is free waits for the other parity.
__device__ __forceinline__ int stage_of(int t) { return t % STAGES; }
__device__ __forceinline__ uint32_t parity_of(int t) { return t / STAGES & 1; }
