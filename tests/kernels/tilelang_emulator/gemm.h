// TileLang's products of a warpgroup, over products.h.
#pragma once

#include "emulator.h"
#include "products.h"

namespace tl {

enum class DataType { kBFloat16, kFloat8_e4m3, kFloat32 };

struct GmmaDescriptor {
    uint64_t bits = 0;

    template <class T>
    GmmaDescriptor operator+(T units) const {
        return {(bits & ~0xffffffffull) | (uint32_t)((uint32_t)bits + (uint32_t)units)};
    }
    operator uint64_t() const { return bits; }
};

// Offsets in 16 bytes.
template <int Swizzle, int Leading, int Stride, class T>
void initialize_wgmma_descriptor(GmmaDescriptor& descriptor, T* start) {
    descriptor.bits = (uint64_t)(emulator::shared_address(start) >> 4 & 0x3fff) | (uint64_t)(Leading & 0x3fff) << 16 |
                      (uint64_t)(Stride & 0x3fff) << 32 | (uint64_t)Swizzle << 62;
}
template <class T>
void increase_descriptor_offset(GmmaDescriptor& descriptor, T bytes) {
    descriptor = descriptor + (bytes >> 4);
}

inline void warpgroup_arrive() { emulator::products_fence(); }
inline void warpgroup_commit_batch() { emulator::commit_products(); }
template <int Pending>
void wait_wgmma() {
    emulator::wait_products(Pending);
}
template <int Pending>
void warpgroup_wait() {
    emulator::wait_products(Pending);
}
template <class T>
void warpgroup_fence_operand(T*, int) {}

template <DataType A, DataType B, DataType C, int M, int N, int K>
constexpr bool emulated = A == B && C == DataType::kFloat32 && M == 64 &&
                          (A == DataType::kBFloat16 ? K == 16 : A == DataType::kFloat8_e4m3 && K == 32);

template <DataType A, DataType B, DataType C, int M, int N, int K, bool TransposedA, bool TransposedB, int ScaleA, int ScaleB>
void wgmma_ss(uint64_t a, uint64_t b, uint32_t* sums, bool add) {
    static_assert(emulated<A, B, C, M, N, K> && ScaleA == 1 && ScaleB == 1, "bf16 or e4m3, summed in float32");
    emulator::Operand operand = A == DataType::kBFloat16 ? emulator::Operand::BF16 : emulator::Operand::E4M3;
    emulator::issue_product((float*)sums, {operand, N, TransposedA, TransposedB, add, a, b, nullptr});
}
template <DataType A, DataType B, DataType C, int M, int N, int K, bool TransposedA, bool TransposedB, int ScaleA, int ScaleB>
void wgmma_rs(const uint32_t* a, uint64_t b, uint32_t* sums, bool add) {
    static_assert(emulated<A, B, C, M, N, K> && ScaleA == 1 && ScaleB == 1 && !TransposedA, "bf16 or e4m3, summed in float32");
    emulator::Operand operand = A == DataType::kBFloat16 ? emulator::Operand::BF16 : emulator::Operand::E4M3;
    emulator::issue_product((float*)sums, {operand, N, false, TransposedB, add, 0, b, a});
}

}  // namespace tl
