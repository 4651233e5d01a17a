// Sums of products over tiles that two producer warps bring to a consumer warpgroup through two buffers; `fault` leaves out, or does
// too early, one thing that a pipeline must do. Block: 128 consumers, 64 producers. A cluster of 2: both multiply the same B,
// of which each brings the upper or the lower half and pushes it to the other.
#include "async_copy.cuh"
#include "cluster.cuh"
#include "mbarrier.cuh"
#include "warpgroup.cuh"
#include "wgmma.cuh"

enum Fault { NONE, READY_BEFORE_DATA, FREE_BEFORE_WAIT, WRONG_PARITY, NO_WAIT, TOO_FEW_ARRIVALS, BYTES_NOT_EXPECTED, NO_FENCE,
             LATE_RESCALE, NO_PROXY_FENCE, NO_BARRIER, RAISED_TO_LESS };

constexpr int TILE = 64 * 128;  // bytes: 64 rows of 64 bf16
constexpr int STAGES = 2;

extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(192)
    pipeline(const unsigned char* a, const unsigned char* b, float* out, int32_t tiles, int32_t fault) {
    unsigned char* shared = dynamic_shared_memory();
    unsigned char *a_tiles = shared, *b_tiles = shared + STAGES * TILE;
    uint64_t* ready = (uint64_t*)(shared + 2 * STAGES * TILE);
    uint64_t *pushed = ready + STAGES, *free = pushed + STAGES;
    uint32_t rank = cluster_rank(), other = rank ^ 1;
    if (threadIdx.x == 0) {
        for (int s = 0; s < STAGES; ++s) {
            mbarrier_init(ready + s, fault == TOO_FEW_ARRIVALS ? 65 : 64);
            mbarrier_init(pushed + s, 1);
            mbarrier_init(free + s, 2);  // both blocks' consumers: the other pushes into this buffer
        }
        mbarrier_init_fence();
    }
    cluster_barrier();
    a += (int64_t)rank * tiles * TILE;
    if (threadIdx.x >= 128) {
        lower_registers<40>();
        int thread = threadIdx.x - 128;
        for (int tile = 0; tile < tiles; ++tile) {
            int stage = tile % STAGES, parity = tile / STAGES % 2;
            mbarrier_wait_cluster(free + stage, fault == WRONG_PARITY ? parity : parity ^ 1);
            if (thread == 0) {
                if (fault != BYTES_NOT_EXPECTED)
                    mbarrier_arrive_expecting(pushed + stage, TILE);
                else
                    mbarrier_arrive(pushed + stage);
                int half = rank * TILE / 2;
                unsigned char* own = b_tiles + stage * TILE + half;
                bulk_copy(own, b + (int64_t)tile * TILE + half, TILE / 2, pushed + stage);
                // The same bytes into the other's buffer, by stores: its half is never read before.
                uint32_t remote = map_shared(own, other), barrier = map_shared(pushed + stage, other);
                const uint4* from = (const uint4*)(b + (int64_t)tile * TILE + half);
                for (int i = 0; i < TILE / 32; ++i) store_async(remote + 16 * i, from[i], barrier);
            }
            for (int i = thread; i < TILE / 16; i += 64)
                copy_async(a_tiles + stage * TILE + swizzled(i / 8, i % 8 * 16), a + (int64_t)tile * TILE + 16 * i);
            if (fault == READY_BEFORE_DATA)
                mbarrier_arrive(ready + stage);
            else
                copy_async_arrive(ready + stage);
        }
        copy_async_wait<0>();
    } else {
        if (fault == RAISED_TO_LESS)
            raise_registers<232>();
        else
            raise_registers<256>();
        float sums[32] = {};
        for (int tile = 0; tile < tiles; ++tile) {
            int stage = tile % STAGES, parity = tile / STAGES % 2;
            mbarrier_wait(ready + stage, parity);
            mbarrier_wait_cluster(pushed + stage, parity);
            if (fault != NO_PROXY_FENCE) fence_async_proxy();
            if (fault != NO_FENCE || tile == 0) wgmma_fence();
            for (int k = 0; k < 4; ++k)
                wgmma_bf16<64>(sums, advanced(k_major_descriptor(a_tiles + stage * TILE), 32 * k),
                               advanced(k_major_descriptor(b_tiles + stage * TILE), 32 * k), true);
            wgmma_commit();
            if (fault == LATE_RESCALE)
                for (int i = 0; i < 32; ++i) sums[i] *= 2;
            if (fault != FREE_BEFORE_WAIT && fault != NO_WAIT) wgmma_wait<0>();
            if (fault == NO_WAIT) wgmma_wait<1>();
            named_barrier_sync<128>(1);
            if (threadIdx.x == 0) {
                mbarrier_arrive_remote(map_shared(free + stage, rank));
                mbarrier_arrive_remote(map_shared(free + stage, other));
            }
            if (fault == FREE_BEFORE_WAIT) wgmma_wait<0>();
        }
        // By way of shared memory: row sums by four lanes each.
        float* row_sums = (float*)(free + STAGES);
        for (int half = 0; half < 2; ++half) {
            float sum = 0;
            for (int j = 0; j < 8; ++j) sum += sums[4 * j + 2 * half] + sums[4 * j + 2 * half + 1];
            sum += __shfl_xor_sync(0xffffffffu, sum, 1);
            sum += __shfl_xor_sync(0xffffffffu, sum, 2);
            if (threadIdx.x % 4 == 0) row_sums[threadIdx.x / 32 * 16 + half * 8 + threadIdx.x % 32 / 4] = sum;
        }
        if (fault != NO_BARRIER) named_barrier_sync<128>(2);
        if (threadIdx.x < 64) out[2 * 64 * 64 + rank * 64 + threadIdx.x] = row_sums[63 - threadIdx.x];
        for (int i = 0; i < 32; ++i) {
            int row = threadIdx.x / 32 * 16 + i / 2 % 2 * 8 + threadIdx.x % 32 / 4;
            out[(rank * 64 + row) * 64 + i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2] = sums[i];
        }
        if (fault == NO_WAIT) wgmma_wait<0>();
    }
    cluster_barrier();
}
