// Stands for kernels/cuda/include/wgmma.cuh, over products.h.
#pragma once

#include "matrix_descriptor.cuh"
#include "products.h"

enum Major { K_MAJOR, MN_MAJOR };

inline void wgmma_fence() { emulator::products_fence(); }
inline void wgmma_commit() { emulator::commit_products(); }
template <int Pending>
void wgmma_wait() {
    emulator::wait_products(Pending);
}
template <int Count>
void wgmma_hold(float (&)[Count]) {}
inline void fence_async_proxy() { emulator::watch_fence(); }
inline void fence_async_proxy_cluster() { emulator::watch_fence(); }

template <int Width, Major MajorA = K_MAJOR, Major MajorB = K_MAJOR>
void wgmma_bf16(float (&sums)[Width / 2], uint64_t a, uint64_t b, bool add) {
    emulator::issue_product(sums, {emulator::Operand::BF16, Width, MajorA == MN_MAJOR, MajorB == MN_MAJOR, add, a, b, nullptr});
}
template <int Width, Major MajorB = K_MAJOR>
void wgmma_bf16(float (&sums)[Width / 2], const uint32_t (&a)[4], uint64_t b, bool add) {
    emulator::issue_product(sums, {emulator::Operand::BF16, Width, false, MajorB == MN_MAJOR, add, 0, b, a});
}
template <int Width>
void wgmma_e4m3(float (&sums)[Width / 2], uint64_t a, uint64_t b, bool add) {
    emulator::issue_product(sums, {emulator::Operand::E4M3, Width, false, false, add, a, b, nullptr});
}
