// Runs the text of a CUDA C++ kernel on a CPU, compiled by g++: what CUDA itself gives a kernel. Every thread is a fiber, which runs
// until it waits for others (machine.h). The package's headers of Hopper's instructions have stand-ins here, of the same names.
//
// The threads of a block, and the blocks of a cluster, take turns in an order drawn from a seed, and give way at random at atomics
// and arrivals: a missing barrier shows as a wrong result under some seed, a barrier that not all threads reach as a deadlock, which
// is reported. Shared memory holds garbage at the start of each block, and a guard behind it is looked at.
// Asynchronous copies and products are done at any time between their issue and what waits for them, as late as then; until then the
// destination holds what it held, accumulators NaN (asynchronous.h, products.h).
//
// Compiled with hooks, a kernel is also watched for accesses that nothing orders (races.h), whatever the order of turns.
//
// What it cannot show:
// - without hooks: races that no drawn order of turns makes wrong, a missing fence.proxy.async
// - races on global memory; those of the last reader of a byte but one; a missing fence.mbarrier_init or acquire.cluster; what a
//   relaxed arrival does not order; atomics, and shuffles, which do not order memory, are taken to order it
// - registers of A overwritten before a product's wait: they are read at the issue
// - the tensor cores' own rounding of sums; how asynchronous work splits; bank conflicts, spills, speed
// - `__shared__` variables: shared memory is all dynamic
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

#include "machine.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define __align__(bytes) alignas(bytes)
#define DYNAMIC_SHARED emulator::current->block->shared

struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) float2 { float x, y; };
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }
inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }

namespace emulator {

// The kernel's arguments, each behind a pointer, as cuLaunchKernel takes them.
static void** arguments;

template <auto kernel, class... P, size_t... I>
void call(void (*)(P...), std::index_sequence<I...>) {
    kernel(*(P*)arguments[I]...);
}

template <auto kernel, class... P>
void call_all(void (*signature)(P...)) {
    call<kernel>(signature, std::index_sequence_for<P...>{});
}

template <auto kernel>
void entry() {
    call_all<kernel>(kernel);
}

}  // namespace emulator

inline void __syncthreads() { emulator::wait(emulator::current->block->barrier); }
inline void __syncwarp(uint32_t mask = 0xffffffffu) { emulator::exchange("__syncwarp", mask, 0); }
inline void __threadfence() {}
inline void __threadfence_block() {}

inline unsigned __clusterRelativeBlockRank() { return emulator::current->block->rank; }
inline void __cluster_barrier_arrive() { emulator::cluster_arrive(); }
inline void __cluster_barrier_wait() { emulator::cluster_wait(); }
inline void* __cluster_map_shared_rank(const void* address, unsigned rank) {
    return emulator::pointer_at(emulator::map_shared(address, rank), 1);
}

inline uint32_t __ballot_sync(uint32_t mask, int predicate) {
    const uint64_t* values = emulator::exchange("__ballot_sync", mask, predicate != 0);
    uint32_t word = 0;
    for (int lane = 0; lane < 32; ++lane) word |= (uint32_t)values[lane] << lane;
    return word;
}
inline int __any_sync(uint32_t mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(uint32_t mask, int predicate) { return __ballot_sync(mask, predicate) == 0xffffffffu; }
inline uint32_t __reduce_add_sync(uint32_t mask, uint32_t value) {
    const uint64_t* values = emulator::exchange("__reduce_add_sync", mask, value);
    uint32_t sum = 0;
    for (int lane = 0; lane < 32; ++lane) sum += (uint32_t)values[lane];
    return sum;
}
template <class T>
T emulated_shuffle(const char* name, uint32_t mask, T value, int source) {
    static_assert(sizeof value <= 8, "a shuffle of more than 8 bytes");
    uint64_t word = 0;
    memcpy(&word, &value, sizeof value);
    const uint64_t* values = emulator::exchange(name, mask, word);
    int lane = emulator::current->number % 32;
    word = values[source < 0 || source > 31 ? lane : source];
    memcpy(&value, &word, sizeof value);
    return value;
}
// width: of the sections, each a warp of its own.
template <class T>
T __shfl_sync(uint32_t mask, T value, int source, int width = 32) {
    int lane = emulator::current->number % 32;
    return emulated_shuffle("__shfl_sync", mask, value, (lane & -width) | (source & (width - 1)));
}
template <class T>
T __shfl_up_sync(uint32_t mask, T value, unsigned distance, int width = 32) {
    int lane = emulator::current->number % 32, source = lane - (int)distance;
    return emulated_shuffle("__shfl_up_sync", mask, value, source < (lane & -width) ? lane : source);
}
template <class T>
T __shfl_down_sync(uint32_t mask, T value, unsigned distance, int width = 32) {
    int lane = emulator::current->number % 32, source = lane + (int)distance;
    return emulated_shuffle("__shfl_down_sync", mask, value, source > (lane | (width - 1)) ? lane : source);
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int bits, int width = 32) {
    int lane = emulator::current->number % 32, source = lane ^ bits;
    return emulated_shuffle("__shfl_xor_sync", mask, value, (source & -width) > (lane & -width) ? lane : source);
}

// Races are not watched for in here.
#define EMULATED_ATOMIC __attribute__((noinline, no_sanitize("thread")))

template <class T>
EMULATED_ATOMIC T atomicAdd(T* address, T value) {
    emulator::maybe_pause();
    T before = *address;
    *address = before + value;
    return before;
}
template <class T>
EMULATED_ATOMIC T atomicOr(T* address, T value) {
    emulator::maybe_pause();
    T before = *address;
    *address = before | value;
    return before;
}
template <class T>
EMULATED_ATOMIC T atomicMax(T* address, T value) {
    emulator::maybe_pause();
    T before = *address;
    *address = before < value ? value : before;
    return before;
}

template <class T>
T __ldg(const T* address) {
    if ((uintptr_t)address % alignof(T)) emulator::fail("a misaligned load");
    return *address;
}
inline int __popc(uint32_t word) { return __builtin_popcount(word); }
inline int __clz(uint32_t word) { return word ? __builtin_clz(word) : 32; }
inline int __ffs(uint32_t word) { return word ? __builtin_ctz(word) + 1 : 0; }
inline uint32_t __float_as_uint(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}
inline float __uint_as_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}
inline int __float_as_int(float value) { return (int)__float_as_uint(value); }
inline float __int_as_float(int bits) { return __uint_as_float((uint32_t)bits); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __log2f(float x) { return std::log2(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }

// As CUDA's: of mixed types, and of a NaN and a number the number.
template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    return (T)a < (T)b || (T)a != (T)a ? (T)b : (T)a;
}
template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    return (T)b < (T)a || (T)a != (T)a ? (T)b : (T)a;
}
