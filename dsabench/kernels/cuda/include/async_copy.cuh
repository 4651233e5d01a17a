// Asynchronous copies (PTX ISA, "cp.async" and "cp.async.bulk"). What they write may be read after a wait only:
// - `copy_async`: by the thread itself, of its groups (`copy_async_commit`, `copy_async_wait`); by others after a barrier behind
//   that, or one that counts it (`copy_async_arrive`). It belongs to the generic proxy: a wgmma needs `fence_async_proxy` after it.
// - bulk copies: by whoever waits for the barrier that counts their bytes. They belong to the asynchronous proxy.
#pragma once

#include "shared_memory.cuh"

// Copies Bytes, 4, 8 or 16, both ends aligned to them, from global to shared memory.
template <int Bytes = 16>
__device__ __forceinline__ void copy_async(void* shared, const void* global) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "what cp.async can copy");
    // 16 bytes pass L1 by; the others cannot.
    if constexpr (Bytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(shared)), "l"(global) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(shared_address(shared)), "l"(global), "n"(Bytes) : "memory");
}

// The same, or Bytes zeros where not `wanted`: nothing is read then, but `global` is an address that could be.
template <int Bytes = 16>
__device__ __forceinline__ void copy_async_or_zero(void* shared, const void* global, bool wanted) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "what cp.async can copy");
    uint32_t taken = wanted ? Bytes : 0, address = shared_address(shared);
    if constexpr (Bytes == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global), "r"(taken) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(global), "n"(Bytes), "r"(taken) : "memory");
}

// Closes this thread's group of copies.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Waits until at most the Pending latest of this thread's groups are under way.
template <int Pending>
__device__ __forceinline__ void copy_async_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

// Arrives at `barrier` when all earlier `copy_async` of this thread are done. It counts among the arrivals the barrier was
// initialised with (`.noinc`).
__device__ __forceinline__ void copy_async_arrive(uint64_t* barrier) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(shared_address(barrier)) : "memory");
}

// Copies `bytes`, a multiple of 16, both ends 16-byte aligned, from global to this block's shared memory; `barrier`, of this block,
// counts them. One thread issues it.
__device__ __forceinline__ void bulk_copy(void* shared, const void* global, uint32_t bytes, uint64_t* barrier) {
    uint32_t address = shared_address(shared), counter = shared_address(barrier);
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(address), "l"(global),
                 "r"(bytes), "r"(counter)
                 : "memory");
}

// The same from this block's shared memory to that of a block of the cluster, whose own barrier counts them; `remote`,
// `remote_barrier`: from `map_shared`, of the same block. What threads wrote into `shared` needs `fence_async_proxy` before.
__device__ __forceinline__ void bulk_copy_remote(uint32_t remote, const void* shared, uint32_t bytes, uint32_t remote_barrier) {
    asm volatile("cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(remote),
                 "r"(shared_address(shared)), "r"(bytes), "r"(remote_barrier)
                 : "memory");
}
