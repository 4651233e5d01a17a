// Every function of the package's headers once, to be compiled for sm_90a; it computes nothing.
#include "async_copy.cuh"
#include "cluster.cuh"
#include "fp8.cuh"
#include "matrix_descriptor.cuh"
#include "mbarrier.cuh"
#include "warpgroup.cuh"
#include "wgmma.cuh"

#ifdef CLUSTER
extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(256, 1) copies(const uint4* in, uint32_t* out) {
    unsigned char* shared = dynamic_shared_memory();
    uint64_t* barrier = (uint64_t*)shared;
    unsigned char* tile = shared + SWIZZLE_ATOM;
    if (threadIdx.x == 0) {
        mbarrier_init(barrier, 1);
        mbarrier_init(barrier + 1, 256);
        mbarrier_init_fence();
    }
    cluster_barrier();
    uint32_t other = cluster_rank() ^ 1, remote = map_shared(tile, other), remote_barrier = map_shared(barrier, other);
    if (threadIdx.x == 0) {
        mbarrier_arrive_expecting(barrier, 2048);
        mbarrier_expect_bytes(barrier, 28);
        bulk_copy(tile, in, 1024, barrier);
        fence_async_proxy();
        fence_async_proxy_cluster();
        bulk_copy_remote(remote, tile, 1024, remote_barrier);
        store_async(remote, 1u, remote_barrier);
        store_async(remote, make_uint2(1, 2), remote_barrier);
        store_async(remote, make_uint4(1, 2, 3, 4), remote_barrier);
        mbarrier_arrive_remote(remote_barrier);
    }
    copy_async(tile + swizzled(threadIdx.x, 16), in + threadIdx.x);
    copy_async<8>(tile, in);
    copy_async<4>(tile, in);
    copy_async_or_zero(tile, in + threadIdx.x, threadIdx.x < 7);
    copy_async_or_zero<4>(tile, in, threadIdx.x < 7);
    copy_async_commit();
    copy_async_wait<1>();
    copy_async_arrive(barrier + 1);
    mbarrier_arrive(barrier);
    mbarrier_wait(barrier, 0);
    mbarrier_wait_cluster(barrier + 1, 1);
    uint32_t pair = pack_bf16x2((float)threadIdx.x, 1.0f);
    float2 floats = unpack_bf16x2(pair), exact = e4m3x2_to_floats(pack_e4m3x2(floats.x, floats.y));
    out[threadIdx.x] = mbarrier_try_wait(barrier, 1) + e4m3x2_to_bf16x2((uint16_t)pair) + (uint32_t)exact.x;
    cluster_barrier();
}
#endif

#ifdef WIDTH
__device__ float products(uint64_t a, uint64_t b, const uint32_t (&registers)[4]) {
    float sums[WIDTH / 2] = {};
    wgmma_hold(sums);
    wgmma_fence();
    wgmma_bf16<WIDTH>(sums, a, b, false);
    wgmma_bf16<WIDTH, K_MAJOR, MN_MAJOR>(sums, advanced(a, 32), b, true);
    wgmma_bf16<WIDTH, MN_MAJOR, K_MAJOR>(sums, a, b, true);
    wgmma_bf16<WIDTH>(sums, registers, b, true);
    wgmma_bf16<WIDTH, MN_MAJOR>(sums, registers, b, true);
    wgmma_e4m3<WIDTH>(sums, a, b, true);
    wgmma_commit();
    wgmma_wait<0>();
    wgmma_hold(sums);
    float sum = 0;
    for (int i = 0; i < WIDTH / 2; ++i) sum += sums[i];
    return sum;
}

extern "C" __global__ void __launch_bounds__(256, 1) multiply(float* out) {
    unsigned char* tile = dynamic_shared_memory();
    if (threadIdx.x < 128) {
        lower_registers<40>();
        named_barrier_arrive<256>(1);
    } else {
        raise_registers<232>();
        named_barrier_sync<256>(1);
        uint64_t a = k_major_descriptor(tile), b = mn_major_descriptor(tile, 8 * SWIZZLE_ATOM);
        uint32_t registers[4] = {threadIdx.x, 1, 2, 3};
        out[threadIdx.x] = products(a, b, registers);
    }
}
#endif
