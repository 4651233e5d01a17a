// Sparse MLA decode on Hopper: the heads of one query over its selected tokens of the 656-byte fp8 cache, on wgmma.
//
// Contract: REFERENCE §2, `sparse MLA, decode`. q bf16 [queries, heads, 576], cache bytes [slots, 656], indices int32 [queries, topk],
// topk_length int32 [queries] or null, sink f32 [heads] or null; scale = sm_scale · log2(e).
// PARTIAL: out f32 [splits, queries, heads, 512] and lse f32 [splits, queries, heads] in base 2, for `merge_splits`; an out of a split
// without tokens is left as it is. Else out bf16 [queries, heads, 512], lse natural, of one split.
// Grid: (queries · cdiv(heads, 64), splits); a block has 64 heads of one query and one split of its entries. With CLUSTER 2 the
// blocks of a cluster have the heads of one query, and dequantize half of every tile each.
//
// 1. Producer warps gather tokens, four at a time, 16 bytes a lane, and write them as bf16 to a tile of 64, in the peer's memory too.
// 2. The first warpgroup: scores = Q·Kᵀ (36 wgmma), online softmax in base 2, weights to shared memory; the next tile's scores are
//    queued behind this one's values.
// 3. Both: the output's halves, 64 × 256 in registers each, += P·V; V is the tile of K, read with tokens along k.
// 4. At the end the rows' factors (1 / sum, the sink) go to the second warpgroup the way of the weights.
// Tokens that do not count are zeros in the tile (their slots may hold NaN) with a score of -infinity.
//
// Source: the split of the output over two warpgroups and of the dequantization over two blocks is FlashMLA's (REFERENCE §7); the
// cycle budget is in docs/cuda-decode.md.
#include "attend_tiles.cuh"
#include "produce_tiles.cuh"
#include "warpgroup.cuh"

#ifdef CLUSTER
#define OF_CLUSTER __cluster_dims__(CLUSTER, 1, 1)
#else
#define OF_CLUSTER
#endif

#if PARTIAL
typedef float Out;
#else
typedef uint16_t Out;
#endif

// What a block works on; computed where it is used, as registers are what it has least of.
struct Work {
    int query, first_head, heads, last_head;  // heads: of all queries; the block has first_head to last_head - 1

    __device__ __forceinline__ Work(int heads)
        : query(heads > BLOCK_H ? blockIdx.x / 2 : blockIdx.x),
          first_head(heads > BLOCK_H ? blockIdx.x % 2 * BLOCK_H : 0),
          heads(heads),
          last_head(min(heads, first_head + BLOCK_H)) {}
    // Of q, and without PARTIAL of out and lse.
    __device__ __forceinline__ int64_t row() const { return (int64_t)query * heads + first_head; }
    __device__ __forceinline__ int64_t out_row() const {
        return PARTIAL ? (int64_t)blockIdx.y * (heads > BLOCK_H ? gridDim.x / 2 : gridDim.x) * heads + row() : row();
    }
};

// Q into its panels, rows without a head as zeros, for wgmma to read; all of the consumers' threads.
__device__ __forceinline__ void load_queries(unsigned char* panels, const uint16_t* q, const Work& work) {
    constexpr int D_QK = LATENT + ROPE, ROWS = CONSUMER_WARPS;
    const int heads = work.last_head - work.first_head;
    q += work.row() * D_QK;
    const uint4 zero = {0, 0, 0, 0};
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 8, part = lane % 8;
#pragma unroll 4
    for (int row = warp; row < BLOCK_H; row += ROWS) {  // a warp a row, 16 dims a lane
        uint4 a = zero, b = zero;
        if (row < heads) {
            const uint4* dims = (const uint4*)(q + (int64_t)row * D_QK) + 2 * lane;
            a = __ldg(dims);
            b = __ldg(dims + 1);
        }
        unsigned char* to = panels + 2 * group * PANEL_BYTES + swizzled(row, 16 * part);
        *(uint4*)to = {(a.x & 0xffff) | a.y << 16, (a.z & 0xffff) | a.w << 16, (b.x & 0xffff) | b.y << 16, (b.z & 0xffff) | b.w << 16};
        *(uint4*)(to + PANEL_BYTES) = {a.x >> 16 | (a.y & 0xffff0000u), a.z >> 16 | (a.w & 0xffff0000u),
                                       b.x >> 16 | (b.y & 0xffff0000u), b.z >> 16 | (b.w & 0xffff0000u)};
    }
    for (int row = 4 * warp + group; row < BLOCK_H; row += 4 * ROWS) {
        const uint4* dims = (const uint4*)(q + (int64_t)row * D_QK + LATENT) + part;
        *(uint4*)(panels + LATENT_PANELS * PANEL_BYTES + swizzled(row, 16 * part)) = row < heads ? __ldg(dims) : zero;
    }
    fence_async_proxy();
    named_barrier_sync<CONSUMERS * WARPGROUP>(1);
}

// One warpgroup's half of the output, four dims of a thread at a time.
__device__ __forceinline__ void store_out(Out* out, const Work& work, const Place& place, int half,
                                          const float (&sums)[OUT_COLUMNS / 2], const float (&factor)[2]) {
    Out* first = out + (work.out_row() + place.row) * LATENT + half * OUT_COLUMNS + 2 * place.column;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
        if (work.first_head + place.row + 8 * i >= work.last_head) continue;
#pragma unroll
        for (int block = 0; block < OUT_COLUMNS / 16; ++block) {  // eight columns of an even panel and of the odd one after it
            int group = block / 8, eight = block % 8;
            const float* even = sums + 4 * (16 * group + eight) + 2 * i;
            const float* odd = even + 4 * 8;
            float f = factor[i];
            Out* to = first + 8 * i * LATENT + GROUP * group + 16 * eight;
#if PARTIAL
            *(float4*)to = make_float4(even[0] * f, odd[0] * f, even[1] * f, odd[1] * f);
#else
            *(uint2*)to = make_uint2(pack_bf16x2(even[0] * f, odd[0] * f), pack_bf16x2(even[1] * f, odd[1] * f));
#endif
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1) OF_CLUSTER
attend_split(const uint16_t* q, const unsigned char* cache, const int* indices, const int* topk_length, const float* sink, Out* out,
             float* lse, float scale, int heads, int topk, uint32_t slots) {
    Shared& shared = *(Shared*)dynamic_shared_memory();
    const Work work(heads);

    // Whole tiles, as even as they come, of the entries that count; the first splits have a tile more.
    int count = topk_length ? min(__ldg(topk_length + work.query), topk) : topk;
    int all = count / BLOCK_KV + (count % BLOCK_KV > 0), split = blockIdx.y, splits = gridDim.y;
    int tiles = all / splits + (split < all % splits);
    uint32_t first = (uint32_t)(all / splits * split + min(split, all % splits)) * BLOCK_KV;
    Entries entries = {indices + (int64_t)work.query * topk, first, min((uint32_t)count, first + (uint32_t)tiles * BLOCK_KV), slots};

    if (tiles == 0) {
        int own = work.last_head - work.first_head;
        for (int head = threadIdx.x; head < own; head += THREADS) lse[work.out_row() + head] = no_score();
#if !PARTIAL
        const uint4 zero = {0, 0, 0, 0};
        for (int i = threadIdx.x; i < own * LATENT / 8; i += THREADS) ((uint4*)(out + work.out_row() * LATENT))[i] = zero;
#endif
        return;  // so does the peer
    }

    if (threadIdx.x == 0) {
        for (int stage = 0; stage < STAGES; ++stage) {
            mbarrier_init(&shared.full[stage], PRODUCER_WARPS);
            mbarrier_init(&shared.free[stage], CONSUMER_WARPS * BLOCKS_A_TILE);
        }
        mbarrier_init(&shared.weights_full, 4);
        mbarrier_init(&shared.weights_free, 4);
        mbarrier_init_fence();
    }
    if constexpr (BLOCKS_A_TILE > 1)
        cluster_barrier();
    else
        __syncthreads();

    // The compiler shall know that a warp does not diverge: descriptors then stay in uniform registers.
    int warp = __shfl_sync(ALL_LANES, threadIdx.x / 32, 0);
    tiles = __shfl_sync(ALL_LANES, tiles, 0);
    if (warp >= CONSUMER_WARPS) {
        lower_registers<PRODUCER_REGISTERS>();
        produce_tiles(shared, cache, entries, tiles, warp - CONSUMER_WARPS);
    } else if (warp < 4) {
        raise_registers<FIRST_REGISTERS>();
        load_queries(shared.q, q, work);
        Place place;
        float sums[OUT_COLUMNS / 2] = {}, factor[2];
        Softmax softmax;
        attend(shared, place, tiles, scale, sums, softmax);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            float total = softmax.sum(i), lse2 = softmax.maximum[i] + log2f(total);  // without a token -infinity twice
            int head = work.first_head + place.row + 8 * i;
            factor[i] = total > 0.0f ? 1.0f / total : 0.0f;
#if !PARTIAL
            if (sink && head < work.last_head) factor[i] *= sink_factor(lse2, __ldg(sink + head));
#endif
            if (place.column == 0 && head < work.last_head)
                lse[work.out_row() + place.row + 8 * i] = PARTIAL ? lse2 : lse2 * LN_2;
        }
        mbarrier_wait(&shared.weights_free, (tiles & 1) ^ 1);
        store_factor(shared, place, factor);
        warp_arrive(&shared.weights_full);
        store_out(out, work, place, 0, sums, factor);
    } else {
        lower_registers<SECOND_REGISTERS>();  // of the 168 that each starts with
        load_queries(shared.q, q, work);
        Place place;
        float sums[OUT_COLUMNS / 2] = {};
        add_second_half(shared, place, tiles, sums);
        mbarrier_wait(&shared.weights_full, tiles & 1);
        const float factor[2] = {shared.factor[place.row], shared.factor[place.row + 8]};
        store_out(out, work, place, 1, sums, factor);
    }
    if constexpr (BLOCKS_A_TILE > 1) {
        __syncwarp();
        cluster_barrier();  // the peer may still arrive here
    }
}
