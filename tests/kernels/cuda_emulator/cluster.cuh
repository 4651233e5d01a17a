// Stands for kernels/cuda/include/cluster.cuh.
#pragma once

#include "asynchronous.h"
#include "shared_memory.cuh"

inline uint32_t cluster_rank() { return emulator::current->block->rank; }
inline void cluster_arrive() { emulator::cluster_arrive(); }
inline void cluster_wait() { emulator::cluster_wait(); }
inline void cluster_barrier() {
    cluster_arrive();
    cluster_wait();
}
inline uint32_t map_shared(const void* pointer, uint32_t rank) { return emulator::map_shared(pointer, rank); }
template <class T>  // uint32_t, uint2 or uint4
void store_async(uint32_t remote, T value, uint32_t remote_barrier) {
    emulator::store_async(remote, &value, sizeof value, remote_barrier);
}
