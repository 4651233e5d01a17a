// Stands for kernels/cuda/include/mbarrier.cuh, over asynchronous.h.
#pragma once

#include "asynchronous.h"
#include "shared_memory.cuh"

inline void mbarrier_init(uint64_t* barrier, uint32_t arrivals) { emulator::mbarrier_init(barrier, arrivals); }
inline void mbarrier_init_fence() {}
inline void mbarrier_arrive(uint64_t* barrier) { emulator::mbarrier_arrive(shared_address(barrier)); }
inline void mbarrier_expect_bytes(uint64_t* barrier, uint32_t bytes) { emulator::mbarrier_expect(shared_address(barrier), bytes); }
inline void mbarrier_arrive_expecting(uint64_t* barrier, uint32_t bytes) {
    mbarrier_expect_bytes(barrier, bytes);
    mbarrier_arrive(barrier);
}
inline void mbarrier_arrive_remote(uint32_t remote_barrier) { emulator::mbarrier_arrive(remote_barrier); }
inline void mbarrier_arrive_remote_read(uint32_t remote_barrier) { emulator::mbarrier_arrive(remote_barrier); }
inline bool mbarrier_try_wait(uint64_t* barrier, uint32_t parity) {
    return emulator::mbarrier_try_wait(shared_address(barrier), parity);
}
inline void mbarrier_wait(uint64_t* barrier, uint32_t parity) { emulator::mbarrier_wait(shared_address(barrier), parity); }
inline void mbarrier_wait_cluster(uint64_t* barrier, uint32_t parity) { mbarrier_wait(barrier, parity); }
