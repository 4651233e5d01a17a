// Producers: tokens from the cache into tiles of bf16.
#pragma once

#include "cluster.cuh"
#include "decode_layout.cuh"
#include "dequantize.cuh"
#include "log_sum_exp.cuh"
#include "wgmma.cuh"

// Entries `first` to `stop` of one query's list of indices.
struct Entries {
    const int* indices;
    uint32_t first, stop;
    uint32_t slots;  // 2³¹ where there are more

    // The index of the entry `i` after the first; -1 beyond the last.
    __device__ __forceinline__ int at(uint32_t i) const { return first + i < stop ? __ldg(indices + first + i) : -1; }
};

// A token of the cache as one of its eight lanes sees it: lane `part` has 16 codes of each group, all scales, and 8 rope dims. Where
// there is none, scales and rope are zeros, and the codes, which are finite whatever they hold, those of slot 0.
struct Token {
    bool valid;
    const unsigned char *bytes, *part_bytes;

    __device__ __forceinline__ Token(const unsigned char* cache, int index, uint32_t slots, int part)
        : valid((uint32_t)index < slots), bytes(cache + (int64_t)(valid ? index : 0) * TOKEN_BYTES), part_bytes(bytes + 16 * part) {}
    __device__ __forceinline__ uint4 codes(int group) const { return __ldg((const uint4*)(part_bytes + GROUP * group)); }
    __device__ __forceinline__ uint4 scales() const { return valid ? __ldg((const uint4*)(bytes + SCALE_OFFSET)) : uint4{}; }
    __device__ __forceinline__ uint4 rope() const { return valid ? __ldg((const uint4*)(part_bytes + ROPE_OFFSET)) : uint4{}; }
};

// What a lane has gathered of a token.
struct Gathered {
    uint4 codes[LATENT / GROUP];
    uint4 scales;
    uint4 rope;
    bool valid;

    __device__ __forceinline__ void gather(const Token& token) {
#pragma unroll
        for (int group = 0; group < LATENT / GROUP; ++group) codes[group] = token.codes(group);
        scales = token.scales();
        rope = token.rope();
        valid = token.valid;
    }
    __device__ __forceinline__ bool has_large_scale() const {
        return fmaxf(fmaxf(fabsf(__uint_as_float(scales.x)), fabsf(__uint_as_float(scales.y))),
                     fmaxf(fabsf(__uint_as_float(scales.z)), fabsf(__uint_as_float(scales.w)))) >= LARGE_SCALE;
    }
};

// Where a lane's chunks of a tile go: in this block and, with a cluster, in its peer.
struct Destination {
    unsigned char* own;
    uint32_t peer, peer_full;

    __device__ __forceinline__ void store(uint32_t offset, uint4 chunk) const {
        *(uint4*)(own + offset) = chunk;
        if constexpr (BLOCKS_A_TILE > 1) store_async(peer + offset, chunk, peer_full);
    }
};

// Writes a token to its tile, and gathers `next` in its place: each register is asked for again as soon as it is used.
template <bool LARGE>
__device__ __forceinline__ void dequantize(Gathered& g, const Token& next, const Destination& to) {
    const Scale scales[LATENT / GROUP] = {
        split_scale<LARGE>(__uint_as_float(g.scales.x)), split_scale<LARGE>(__uint_as_float(g.scales.y)),
        split_scale<LARGE>(__uint_as_float(g.scales.z)), split_scale<LARGE>(__uint_as_float(g.scales.w))};
    g.scales = next.scales();
#pragma unroll
    for (int group = 0; group < LATENT / GROUP; ++group) {
        Scale s = scales[group];
        uint4 c = g.codes[group];
        g.codes[group] = next.codes(group);
        to.store(2 * group * PANEL_BYTES, {dequantize_even<LARGE>(c.x, s), dequantize_even<LARGE>(c.y, s),
                                           dequantize_even<LARGE>(c.z, s), dequantize_even<LARGE>(c.w, s)});
        to.store((2 * group + 1) * PANEL_BYTES, {dequantize_odd<LARGE>(c.x, s), dequantize_odd<LARGE>(c.y, s),
                                                 dequantize_odd<LARGE>(c.z, s), dequantize_odd<LARGE>(c.w, s)});
    }
    to.store(LATENT_PANELS * PANEL_BYTES, g.rope);
    g.rope = next.rope();
    g.valid = next.valid;
}

// Fills tiles 0 to `tiles` - 1 of the entries, as they become free; all producers call it. `warp`: 0 to PRODUCER_WARPS - 1.
// GATHERS tokens of a lane are on their way, and the index of the one after them.
__device__ __forceinline__ void produce_tiles(Shared& shared, const unsigned char* cache, const Entries& entries, int tiles,
                                              int warp) {
    constexpr int STEPS = OWN_TOKENS / (4 * PRODUCER_WARPS);  // of a warp, a tile; four tokens each
    constexpr uint32_t PEER_BYTES = (BLOCK_KV - OWN_TOKENS) * (TILE_BYTES / BLOCK_KV + sizeof(float));
    static_assert(STEPS % GATHERS == 0, "registers have no index at run time");
    int lane = threadIdx.x % 32, part = lane % 8;
    uint32_t rank = BLOCKS_A_TILE > 1 ? cluster_rank() : 0;
    int first_token = rank * OWN_TOKENS + warp * 4 * STEPS + lane / 8;

    auto index_of = [&](int step) { return entries.at(step / STEPS * BLOCK_KV + step % STEPS * 4 + first_token); };
    Gathered gathered[GATHERS];
#pragma unroll
    for (int i = 0; i < GATHERS; ++i) gathered[i].gather(Token(cache, index_of(i), entries.slots, part));
    int index = index_of(GATHERS);
#pragma unroll 1
    for (int t = 0; t < tiles; ++t) {
        int stage = stage_of(t);
        Destination tile = {shared.tiles[stage], 0, 0};
        uint32_t peer_bias = 0;
        if constexpr (BLOCKS_A_TILE > 1) {
            tile.peer = map_shared(tile.own, rank ^ 1);
            tile.peer_full = map_shared(&shared.full[stage], rank ^ 1);
            peer_bias = map_shared(shared.bias[stage], rank ^ 1);
        }
        mbarrier_wait(&shared.free[stage], parity_of(t) ^ 1);
#pragma unroll 1
        for (int first = 0; first < STEPS; first += GATHERS) {
#pragma unroll
            for (int i = 0; i < GATHERS; ++i) {
                Gathered& g = gathered[i];
                Token next(cache, index, entries.slots, part);
                index = index_of(t * STEPS + first + i + GATHERS + 1);
                int token = first_token + 4 * (first + i);
                if (part == 0) {
                    float bias = g.valid ? 0.0f : no_score();
                    shared.bias[stage][token] = bias;
                    if constexpr (BLOCKS_A_TILE > 1) store_async(peer_bias + 4 * token, __float_as_uint(bias), tile.peer_full);
                }
                uint32_t at = swizzled(token, 16 * part);
                Destination to = {tile.own + at, tile.peer + at, tile.peer_full};
                if (__any_sync(ALL_LANES, g.has_large_scale()))
                    dequantize<true>(g, next, to);
                else
                    dequantize<false>(g, next, to);
            }
        }
        fence_async_proxy();
        __syncwarp();
        if (lane == 0) {
            if (PEER_BYTES > 0 && warp == 0)
                mbarrier_arrive_expecting(&shared.full[stage], PEER_BYTES);
            else
                mbarrier_arrive(&shared.full[stage]);
        }
    }
}
