// Clusters of blocks and their distributed shared memory (PTX ISA, "barrier.cluster", "mapa", "st.async").
#pragma once

#include "shared_memory.cuh"

// This block's rank in its cluster.
__device__ __forceinline__ uint32_t cluster_rank() {
    uint32_t rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// All threads of all blocks of the cluster arrive, then wait; what they wrote before arriving is seen after the wait. A block whose
// shared memory others still use must not end: a barrier stands before the end of such kernels.
__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
__device__ __forceinline__ void cluster_barrier() {
    cluster_arrive();
    cluster_wait();
}

// The address in the cluster of what stands at `pointer` in this block's shared memory, in block `rank`'s.
__device__ __forceinline__ uint32_t map_shared(const void* pointer, uint32_t rank) {
    uint32_t remote;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(shared_address(pointer)), "r"(rank));
    return remote;
}

// Stores into a block's shared memory; that block's barrier counts the 4, 8 or 16 bytes. `remote` is aligned to them; both addresses
// come from `map_shared`, of the same block.
__device__ __forceinline__ void store_async(uint32_t remote, uint32_t value, uint32_t remote_barrier) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(remote), "r"(value),
                 "r"(remote_barrier)
                 : "memory");
}
__device__ __forceinline__ void store_async(uint32_t remote, uint2 value, uint32_t remote_barrier) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1, %2}, [%3];" ::"r"(remote), "r"(value.x),
                 "r"(value.y), "r"(remote_barrier)
                 : "memory");
}
__device__ __forceinline__ void store_async(uint32_t remote, uint4 value, uint32_t remote_barrier) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(remote),
                 "r"(value.x), "r"(value.y), "r"(value.z), "r"(value.w), "r"(remote_barrier)
                 : "memory");
}
