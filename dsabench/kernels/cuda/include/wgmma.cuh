// Products of a warpgroup on the tensor cores (PTX ISA, "wgmma"): D += A·B, A 64 × K, B K × N, D 64 × N in float32; K is 16 of
// bf16 or 32 of e4m3, N (`Width`) is 16, 32, 64, 128 or 256.
//
// All 128 threads: wgmma_fence, products, wgmma_commit, wgmma_wait. Between the fence and the wait nothing touches the accumulators,
// the registers of A, or what the descriptors point to. What threads wrote into shared memory (`copy_async` too) needs
// fence_async_proxy by the writers, then a barrier, before products read it.
//
// Thread t of the warpgroup, lane l, warp w: sums[4 j + 2 i + e] is D[16 w + 8 i + l / 4][8 j + 2 (l % 4) + e]. Of A in registers,
// word 2 j + i holds A[16 w + 8 i + l / 4][8 j + 2 (l % 4) + e], e = 0 the low half.
#pragma once

#include "matrix_descriptor.cuh"

enum Major { K_MAJOR, MN_MAJOR };  // which of a matrix's dimensions runs along a row of shared memory

// Orders this thread's use of registers before the products that follow.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

// Closes a group of products.
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

// Waits until at most the Pending latest groups are under way.
template <int Pending>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}

// Keeps the compiler from moving uses of the accumulators across this place: before wgmma_fence and after wgmma_wait.
template <int Count>
__device__ __forceinline__ void wgmma_hold(float (&sums)[Count]) {
#pragma unroll
    for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

// Makes what this thread wrote into its block's shared memory visible to the asynchronous proxy: wgmma and bulk copies.
__device__ __forceinline__ void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// The same of what it wrote into the cluster's.
__device__ __forceinline__ void fence_async_proxy_cluster() { asm volatile("fence.proxy.async.shared::cluster;" ::: "memory"); }

// PTX wants every accumulator named.
#define TEN(t) "%" #t "0, %" #t "1, %" #t "2, %" #t "3, %" #t "4, %" #t "5, %" #t "6, %" #t "7, %" #t "8, %" #t "9, "
#define NAMES_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define NAMES_16 TEN() "%10, %11, %12, %13, %14, %15"
#define NAMES_32 TEN() TEN(1) TEN(2) "%30, %31"
#define NAMES_64 TEN() TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) "%60, %61, %62, %63"
#define NAMES_120 TEN() TEN(1) TEN(2) TEN(3) TEN(4) TEN(5) TEN(6) TEN(7) TEN(8) TEN(9) TEN(10) TEN(11)
#define NAMES_128 NAMES_120 "%120, %121, %122, %123, %124, %125, %126, %127"
#define SUMS_8(i) SUMS_4(i), SUMS_4(i + 4)
#define SUMS_4(i) "+f"(sums[i]), "+f"(sums[i + 1]), "+f"(sums[i + 2]), "+f"(sums[i + 3])
#define SUMS_16(i) SUMS_8(i), SUMS_8(i + 8)
#define SUMS_32(i) SUMS_16(i), SUMS_16(i + 16)
#define SUMS_64(i) SUMS_32(i), SUMS_32(i + 32)
#define SUMS_128(i) SUMS_64(i), SUMS_64(i + 64)

// COUNT: of accumulators; OPERANDS: text of A and B; WHEN: of `add`; LAST: of the transpositions; then the inputs.
#define WGMMA(KIND, COUNT, OPERANDS, WHEN, LAST, ...) \
    asm volatile("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, " WHEN ", 0;\n\twgmma.mma_async.sync.aligned." KIND " {" NAMES_##COUNT \
                 "}, " OPERANDS ", p, 1, 1" LAST ";\n\t}" \
                 : SUMS_##COUNT(0) \
                 : __VA_ARGS__)

// bf16, A and B in shared memory: sums += A·B, or = A·B where not `add`.
template <int Width, Major MajorA = K_MAJOR, Major MajorB = K_MAJOR>
__device__ __forceinline__ void wgmma_bf16(float (&sums)[Width / 2], uint64_t a, uint64_t b, bool add) {
    static_assert(Width == 16 || Width == 32 || Width == 64 || Width == 128 || Width == 256, "the widths written out here");
#define PRODUCT(N, COUNT, OPERANDS, WHEN, LAST) \
    if constexpr (Width == N) \
    WGMMA("m64n" #N "k16.f32.bf16.bf16", COUNT, OPERANDS, WHEN, LAST, "l"(a), "l"(b), "r"((int)add), "n"(int(MajorA)), \
          "n"(int(MajorB)))
    PRODUCT(16, 8, "%8, %9", "%10", ", %11, %12");
    PRODUCT(32, 16, "%16, %17", "%18", ", %19, %20");
    PRODUCT(64, 32, "%32, %33", "%34", ", %35, %36");
    PRODUCT(128, 64, "%64, %65", "%66", ", %67, %68");
    PRODUCT(256, 128, "%128, %129", "%130", ", %131, %132");
#undef PRODUCT
}

// bf16, A in registers, 4 words of a pair each.
template <int Width, Major MajorB = K_MAJOR>
__device__ __forceinline__ void wgmma_bf16(float (&sums)[Width / 2], const uint32_t (&a)[4], uint64_t b, bool add) {
    static_assert(Width == 16 || Width == 32 || Width == 64 || Width == 128 || Width == 256, "the widths written out here");
#define PRODUCT(N, COUNT, OPERANDS, WHEN, LAST) \
    if constexpr (Width == N) \
    WGMMA("m64n" #N "k16.f32.bf16.bf16", COUNT, OPERANDS, WHEN, LAST, "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), \
          "r"((int)add), "n"(int(MajorB)))
    PRODUCT(16, 8, "{%8, %9, %10, %11}, %12", "%13", ", %14");
    PRODUCT(32, 16, "{%16, %17, %18, %19}, %20", "%21", ", %22");
    PRODUCT(64, 32, "{%32, %33, %34, %35}, %36", "%37", ", %38");
    PRODUCT(128, 64, "{%64, %65, %66, %67}, %68", "%69", ", %70");
    PRODUCT(256, 128, "{%128, %129, %130, %131}, %132", "%133", ", %134");
#undef PRODUCT
}

// e4m3, A and B in shared memory, both K-major: fp8 has no other.
template <int Width>
__device__ __forceinline__ void wgmma_e4m3(float (&sums)[Width / 2], uint64_t a, uint64_t b, bool add) {
    static_assert(Width == 16 || Width == 32 || Width == 64 || Width == 128 || Width == 256, "the widths written out here");
#define PRODUCT(N, COUNT, OPERANDS, WHEN) \
    if constexpr (Width == N) \
    WGMMA("m64n" #N "k32.f32.e4m3.e4m3", COUNT, OPERANDS, WHEN, "", "l"(a), "l"(b), "r"((int)add))
    PRODUCT(16, 8, "%8, %9", "%10");
    PRODUCT(32, 16, "%16, %17", "%18");
    PRODUCT(64, 32, "%32, %33", "%34");
    PRODUCT(128, 64, "%64, %65", "%66");
    PRODUCT(256, 128, "%128, %129", "%130");
#undef PRODUCT
}

#undef TEN
#undef NAMES_8
#undef NAMES_16
#undef NAMES_32
#undef NAMES_64
#undef NAMES_120
#undef NAMES_128
#undef SUMS_4
#undef SUMS_8
#undef SUMS_16
#undef SUMS_32
#undef SUMS_64
#undef SUMS_128
#undef WGMMA
