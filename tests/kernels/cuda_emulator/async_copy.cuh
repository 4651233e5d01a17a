// Stands for kernels/cuda/include/async_copy.cuh, over asynchronous.h.
#pragma once

#include "asynchronous.h"
#include "shared_memory.cuh"

template <int Bytes = 16>
void copy_async(void* shared, const void* global) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "what cp.async can copy");
    emulator::copy_async(shared, global, Bytes, Bytes);
}
template <int Bytes = 16>
void copy_async_or_zero(void* shared, const void* global, bool wanted) {
    static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16, "what cp.async can copy");
    emulator::copy_async(shared, global, Bytes, wanted ? Bytes : 0);
}
inline void copy_async_commit() { emulator::copy_async_commit(); }
template <int Pending>
void copy_async_wait() {
    emulator::copy_async_wait(Pending);
}
inline void copy_async_arrive(uint64_t* barrier) { emulator::copy_async_arrive(shared_address(barrier)); }
inline void bulk_copy(void* shared, const void* global, uint32_t bytes, uint64_t* barrier) {
    emulator::bulk_copy(shared_address(shared), global, bytes, shared_address(barrier));
}
inline void bulk_copy_remote(uint32_t remote, const void* shared, uint32_t bytes, uint32_t remote_barrier) {
    emulator::bulk_copy(remote, emulator::pointer_at(shared_address(shared), bytes), bytes, remote_barrier);
}
