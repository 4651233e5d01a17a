// Consumers: products and the online softmax of one block's heads over its tiles.
//
// Thread t of a warpgroup, lane l, warp w, has rows (heads) 16 w + l / 4 and 8 more, and of every 8 columns 2 (l % 4) and the next.
#pragma once

#include "cluster.cuh"
#include "decode_layout.cuh"
#include "exp2.cuh"
#include "fp8.cuh"
#include "log_sum_exp.cuh"
#include "opaque.cuh"
#include "wgmma.cuh"

// A row's maximum is followed only when scores exceed it by 2^8: weights up to 256 cost no precision, and output that has met its
// largest scores is hardly ever rescaled.
constexpr float SLACK = 8.0f;

// What a warp of consumers knows of its place.
struct Place {
    int warp, row, column;  // of the warpgroup; first row; first column of eight

    __device__ __forceinline__ Place()
        : warp(threadIdx.x / 32 % 4), row(16 * warp + threadIdx.x % 32 / 4), column(2 * (threadIdx.x % 4)) {}
};

// One lane of each warp arrives for it.
__device__ __forceinline__ void warp_arrive(uint64_t* barrier) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) mbarrier_arrive(barrier);
}

// This warp has read tile `t`, and says so to all that write it.
__device__ __forceinline__ void release_tile(Shared& shared, int t) {
    __syncwarp();
    if (threadIdx.x % 32 != 0) return;
    uint64_t* free = &shared.free[stage_of(t)];
    mbarrier_arrive(free);
    if constexpr (BLOCKS_A_TILE > 1) mbarrier_arrive_remote_read(map_shared(free, cluster_rank() ^ 1));
}

// What the peer stored came by the generic proxy, and only here is it known to be there.
__device__ __forceinline__ void fence_peer_stores() {
    if constexpr (BLOCKS_A_TILE > 1) fence_async_proxy();
}

__device__ __forceinline__ void wait_for_tile(Shared& shared, int t) {
    uint64_t* full = &shared.full[stage_of(t)];
    if constexpr (BLOCKS_A_TILE > 1)
        mbarrier_wait_cluster(full, parity_of(t));
    else
        mbarrier_wait(full, parity_of(t));
    fence_peer_stores();
}

// The first Q_PANELS panels of Q as the left operand in registers, 16 a panel: shared memory is read for the right one only.
struct HeldQueries {
    uint32_t words[Q_PANELS > 0 ? Q_PANELS : 1][4][4];

    __device__ __forceinline__ HeldQueries(const Shared& shared, const Place& place) {
#pragma unroll
        for (int panel = 0; panel < Q_PANELS; ++panel) {
#pragma unroll
            for (int step = 0; step < 4; ++step) {
#pragma unroll
                for (int word = 0; word < 4; ++word) {
                    uint32_t at = swizzled(place.row + word % 2 * 8, 32 * step + word / 2 * 16 + 2 * place.column);
                    words[panel][step][word] = *(const uint32_t*)(shared.q + panel * PANEL_BYTES + at);
                }
            }
        }
    }
};

// Scores of tile `t`: Q·Kᵀ; queued and not waited for.
__device__ __forceinline__ void multiply_keys(Shared& shared, const HeldQueries& held, int t, float (&scores)[BLOCK_KV / 2]) {
    uint64_t q = opaque(k_major_descriptor(shared.q)), k = opaque(k_major_descriptor(shared.tiles[stage_of(t)]));
    wgmma_hold(scores);
    wgmma_fence();
#pragma unroll
    for (int panel = 0; panel < PANELS; ++panel) {
#pragma unroll
        for (int step = 0; step < 4; ++step) {
            uint32_t at = panel * PANEL_BYTES + 32 * step;
            if (panel < Q_PANELS)
                wgmma_bf16<BLOCK_KV>(scores, held.words[panel][step], advanced(k, at), at > 0);
            else
                wgmma_bf16<BLOCK_KV>(scores, advanced(q, at), advanced(k, at), at > 0);
        }
    }
    wgmma_commit();
}

// Columns OUT_COLUMNS·half of tile `t` as V of one wgmma.
__device__ __forceinline__ uint64_t value_descriptor(Shared& shared, int t, int half) {
    return mn_major_descriptor(shared.tiles[stage_of(t)] + half * (OUT_COLUMNS / COLUMNS) * PANEL_BYTES, PANEL_BYTES);
}

constexpr uint32_t SIXTEEN_TOKENS = 16 * SWIZZLE_ROW;

__device__ __forceinline__ void rescale(float (&sums)[OUT_COLUMNS / 2], const float (&factor)[2]) {
    // Each warp for itself: mostly no row of it has a new maximum.
    if (!__any_sync(ALL_LANES, factor[0] != 1.0f || factor[1] != 1.0f)) return;
#pragma unroll
    for (int i = 0; i < OUT_COLUMNS / 2; ++i) sums[i] *= factor[i / 2 % 2];
}

struct Softmax {
    float maximum[2] = {no_score(), no_score()};  // base 2, up to SLACK below the largest score
    float total[2] = {0.0f, 0.0f};            // this thread's columns only

    // Scores of a tile, unscaled, to weights in bf16 pairs: word 2 j + i of row i, columns of the j-th eight. decay: of what
    // was summed so far. Scores without a token (bias -infinity) weigh 0.
    __device__ __forceinline__ void update(float (&scores)[BLOCK_KV / 2], const float* bias, float scale,
                                           uint32_t (&weights)[BLOCK_KV / 4], float (&decay)[2]) {
        float largest[2] = {no_score(), no_score()};
#pragma unroll
        for (int j = 0; j < BLOCK_KV / 8; ++j) {
            float2 b = *(const float2*)(bias + 8 * j);
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                float* pair = scores + 4 * j + 2 * i;
                pair[0] = fmaf(pair[0], scale, b.x);
                pair[1] = fmaf(pair[1], scale, b.y);
                largest[i] = fmaxf(largest[i], fmaxf(pair[0], pair[1]));
            }
        }
        float shift[2];
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            largest[i] = fmaxf(largest[i], __shfl_xor_sync(ALL_LANES, largest[i], 1));
            largest[i] = fmaxf(largest[i], __shfl_xor_sync(ALL_LANES, largest[i], 2));
            float before = maximum[i];
            if (largest[i] > before + SLACK) maximum[i] = largest[i];
            // Any finite shift will do for a row without a token; -inf - -inf would be NaN.
            shift[i] = maximum[i] == no_score() ? 0.0f : maximum[i];
            decay[i] = maximum[i] == before ? 1.0f : exp2_approximate(before - shift[i]);
            total[i] *= decay[i];
        }
#pragma unroll
        for (int j = 0; j < BLOCK_KV / 8; ++j) {
#pragma unroll
            for (int i = 0; i < 2; ++i) {
                const float* pair = scores + 4 * j + 2 * i;
                float low = exp2_approximate(pair[0] - shift[i]), high = exp2_approximate(pair[1] - shift[i]);
                total[i] += low + high;
                weights[2 * j + i] = pack_bf16x2(low, high);
            }
        }
    }

    // Over all columns.
    __device__ __forceinline__ float sum(int i) const {
        float all = total[i] + __shfl_xor_sync(ALL_LANES, total[i], 1);
        return all + __shfl_xor_sync(ALL_LANES, all, 2);
    }
};

__device__ __forceinline__ void store_weights(Shared& shared, const Place& place, const uint32_t (&weights)[BLOCK_KV / 4]) {
#pragma unroll
    for (int j = 0; j < BLOCK_KV / 8; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i)
            *(uint32_t*)(shared.weights + swizzled(place.row + 8 * i, 16 * j + 2 * place.column)) = weights[2 * j + i];
    }
}

// To the second warpgroup; the four lanes of a row have the same.
__device__ __forceinline__ void store_factor(Shared& shared, const Place& place, const float (&factor)[2]) {
    if (place.column != 0) return;
    shared.factor[place.row] = factor[0];
    shared.factor[place.row + 8] = factor[1];
}

// The first warpgroup: scores, weights and the first half of the output. `tiles` >= 1.
__device__ __forceinline__ void attend(Shared& shared, const Place& place, int tiles, float scale, float (&out)[OUT_COLUMNS / 2],
                                       Softmax& softmax) {
    const HeldQueries held(shared, place);
    float scores[BLOCK_KV / 2];
    uint32_t weights[BLOCK_KV / 4];

    // Weights of tile `t`, whose scores are under way, to the second warpgroup too; then the output is ready to be added to.
    auto weigh = [&](int t) {
        wgmma_wait<0>();
        wgmma_hold(scores);
        float decay[2];
        softmax.update(scores, shared.bias[stage_of(t)] + place.column, scale, weights, decay);
        mbarrier_wait(&shared.weights_free, (t & 1) ^ 1);
        store_weights(shared, place, weights);
        store_factor(shared, place, decay);
        fence_async_proxy();
        warp_arrive(&shared.weights_full);
        rescale(out, decay);
    };
    auto add_values = [&](int t) {
        uint64_t v = value_descriptor(shared, t, 0);
        wgmma_hold(out);
        wgmma_fence();
#pragma unroll
        for (int j = 0; j < BLOCK_KV / 16; ++j) {
            const uint32_t a[4] = {weights[4 * j], weights[4 * j + 1], weights[4 * j + 2], weights[4 * j + 3]};
            wgmma_bf16<OUT_COLUMNS, MN_MAJOR>(out, a, advanced(v, j * SIXTEEN_TOKENS), true);
        }
        wgmma_commit();
    };

    wait_for_tile(shared, 0);
    multiply_keys(shared, held, 0, scores);
#pragma unroll 1
    for (int t = 0; t < tiles - 1; ++t) {
        weigh(t);
        add_values(t);
        wait_for_tile(shared, t + 1);
        multiply_keys(shared, held, t + 1, scores);  // behind the values: the tensor cores find it ready
        wgmma_wait<1>();
        wgmma_hold(out);
        release_tile(shared, t);
    }
    weigh(tiles - 1);
    add_values(tiles - 1);
    wgmma_wait<0>();
    wgmma_hold(out);
    release_tile(shared, tiles - 1);
}

// The second warpgroup: the other half of the output, from the first one's weights.
__device__ __forceinline__ void add_second_half(Shared& shared, const Place& place, int tiles, float (&out)[OUT_COLUMNS / 2]) {
    uint64_t p = k_major_descriptor(shared.weights);
#pragma unroll 1
    for (int t = 0; t < tiles; ++t) {
        mbarrier_wait(&shared.weights_full, t & 1);  // the first warpgroup waited for the tile before
        fence_peer_stores();
        const float decay[2] = {shared.factor[place.row], shared.factor[place.row + 8]};
        rescale(out, decay);
        uint64_t v = value_descriptor(shared, t, 1);
        wgmma_hold(out);
        wgmma_fence();
#pragma unroll
        for (int j = 0; j < BLOCK_KV / 16; ++j)
            wgmma_bf16<OUT_COLUMNS, K_MAJOR, MN_MAJOR>(out, advanced(p, 32 * j), advanced(v, j * SIXTEEN_TOKENS), true);
        wgmma_commit();
        wgmma_wait<0>();
        wgmma_hold(out);
        warp_arrive(&shared.weights_free);
        release_tile(shared, t);
    }
}
