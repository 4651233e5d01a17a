// Runs the text of a CUDA C++ kernel on a CPU, compiled by g++: every thread is a fiber, which runs until it waits for others.
//
// The threads of a block, and the blocks of a cluster, take turns in an order drawn from a seed, and give way at random at atomics:
// a missing barrier shows as a wrong result under some seed, a barrier that not all threads reach as a deadlock, which is
// reported. Shared memory holds garbage at the start of each block, and a guard behind it is looked at.
// What it cannot show: races within one turn, asynchronous copies, memory ordering, tensor cores, speed.
#pragma once

#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>
#include <sys/mman.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __cluster_dims__(...)
#define DYNAMIC_SHARED emulator::current->block->shared

struct dim3 { unsigned x = 1, y = 1, z = 1; };
struct alignas(16) uint4 { uint32_t x, y, z, w; };
struct alignas(8) uint2 { uint32_t x, y; };
struct alignas(16) float4 { float x, y, z, w; };

static dim3 threadIdx, blockIdx, blockDim, gridDim;  // threadIdx and blockIdx are the running fiber's

namespace emulator {

constexpr size_t STACK = 64 * 1024;
constexpr size_t GUARD = 64;  // bytes behind shared memory
constexpr unsigned char GARBAGE = 0xa5;

struct Barrier {
    unsigned expected = 0, arrived = 0, passed = 0;
};

struct Warp {
    Barrier barrier;
    uint64_t values[2][32];  // of two exchanges in turn: one may be read while the next is written
    const char* names[2][32];
};

struct Block {
    dim3 index;
    unsigned rank;
    unsigned char* shared;
    Barrier barrier;
    Barrier* cluster;
    std::vector<Block>* blocks;  // of the cluster
    std::vector<Warp> warps;
};

struct Fiber {
    Block* block;
    dim3 thread;
    unsigned number;
    unsigned exchanges = 0;
    Barrier* waits = nullptr;
    unsigned passed = 0;
    bool started = false, done = false;
    jmp_buf state;
    ucontext_t first;
    void* stack;
};

static Fiber* current;
static jmp_buf scheduler;
static void (*body)();
static std::mt19937 chance;
static std::string fault;

inline void pause() {
    if (!_setjmp(current->state)) _longjmp(scheduler, 1);
    threadIdx = current->thread;
    blockIdx = current->block->index;
}

inline void wait(Barrier& barrier) {
    if (++barrier.arrived == barrier.expected) {
        barrier.arrived = 0;
        ++barrier.passed;
        return;
    }
    current->waits = &barrier;
    current->passed = barrier.passed;
    pause();
}

inline void maybe_pause() {
    if (chance() % 32 == 0) pause();
}

// The values of all lanes of this warp, valid until the next exchange but one.
inline const uint64_t* exchange(const char* name, uint32_t mask, uint64_t value) {
    Warp& warp = current->block->warps[current->number / 32];
    unsigned turn = current->exchanges++ & 1, lane = current->number % 32;
    if (mask != 0xffffffffu) fault = std::string(name) + ": only full masks are emulated";
    warp.values[turn][lane] = value;
    warp.names[turn][lane] = name;
    wait(warp.barrier);
    if (warp.names[turn][0] != name) fault = std::string(name) + " and " + warp.names[turn][0] + " meet in a warp";
    return warp.values[turn];
}

inline void start() {
    threadIdx = current->thread;
    blockIdx = current->block->index;
    body();
    current->done = true;
    _longjmp(scheduler, 1);
}

inline void resume(Fiber& fiber) {
    current = &fiber;
    if (_setjmp(scheduler)) return;
    if (fiber.started) _longjmp(fiber.state, 1);
    fiber.started = true;
    getcontext(&fiber.first);
    fiber.first.uc_stack.ss_sp = fiber.stack;
    fiber.first.uc_stack.ss_size = STACK;
    fiber.first.uc_link = nullptr;
    makecontext(&fiber.first, start, 0);
    setcontext(&fiber.first);
}

inline void run_cluster(std::vector<Block>& blocks, std::vector<Fiber>& fibers) {
    std::vector<Fiber*> order;
    for (Fiber& fiber : fibers) order.push_back(&fiber);
    while (!order.empty() && fault.empty()) {
        switch (chance() % 3) {  // ascending, descending or at random
            case 0: std::sort(order.begin(), order.end()); break;
            case 1: std::sort(order.rbegin(), order.rend()); break;
            default: std::shuffle(order.begin(), order.end(), chance);
        }
        bool moved = false;
        for (Fiber* fiber : order) {
            if (fiber->waits && fiber->waits->passed == fiber->passed) continue;
            fiber->waits = nullptr;
            moved = true;
            resume(*fiber);
        }
        order.erase(std::remove_if(order.begin(), order.end(), [](Fiber* f) { return f->done; }), order.end());
        if (!moved && !order.empty()) fault = "deadlock: threads wait at a barrier that others have not reached";
    }
}

// Runs body() for every thread of a grid. Returns "" or what went wrong.
inline std::string run(void (*kernel)(), dim3 grid, dim3 block, unsigned cluster, size_t shared_bytes, unsigned seed) {
    body = kernel;
    chance.seed(seed);
    fault.clear();
    gridDim = grid;
    blockDim = block;
    unsigned threads = block.x * block.y * block.z, total = grid.x * grid.y * grid.z;
    if (threads % 32 || grid.x % cluster) return "a block is whole warps, a grid whole clusters";
    size_t stacks = (size_t)threads * cluster * STACK;
    char* stack = (char*)mmap(nullptr, stacks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == (char*)MAP_FAILED) return "no memory for stacks";
    std::vector<std::vector<uint4>> shared(cluster, std::vector<uint4>((shared_bytes + GUARD + 15) / 16));
    for (unsigned first = 0; first < total && fault.empty(); first += cluster) {
        std::vector<Block> blocks(cluster);
        std::vector<Fiber> fibers(threads * cluster);
        Barrier all{threads * cluster};
        for (unsigned rank = 0; rank < cluster; ++rank) {
            unsigned number = first + rank;
            Block& b = blocks[rank];
            b.index = {number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y};
            b.rank = rank;
            b.shared = (unsigned char*)shared[rank].data();
            memset(b.shared, GARBAGE, shared_bytes + GUARD);
            b.barrier.expected = threads;
            b.cluster = &all;
            b.blocks = &blocks;
            b.warps.resize(threads / 32);
            for (Warp& warp : b.warps) warp.barrier.expected = 32;
            for (unsigned t = 0; t < threads; ++t) {
                Fiber& fiber = fibers[rank * threads + t];
                fiber.block = &b;
                fiber.thread = {t % block.x, t / block.x % block.y, t / block.x / block.y};
                fiber.number = t;
                fiber.stack = stack + (size_t)(rank * threads + t) * STACK;
            }
        }
        run_cluster(blocks, fibers);
        for (unsigned rank = 0; rank < cluster && fault.empty(); ++rank)
            for (size_t i = 0; i < GUARD; ++i)
                if (blocks[rank].shared[shared_bytes + i] != GARBAGE) fault = "shared memory is written past its end";
    }
    munmap(stack, stacks);
    return fault;
}

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

inline unsigned __clusterRelativeBlockRank() { return emulator::current->block->rank; }
inline void __cluster_barrier_arrive() {}
inline void __cluster_barrier_wait() { emulator::wait(*emulator::current->block->cluster); }
inline void* __cluster_map_shared_rank(const void* address, unsigned rank) {
    emulator::Block* block = emulator::current->block;
    return (*block->blocks)[rank].shared + ((const unsigned char*)address - block->shared);
}

inline uint32_t __ballot_sync(uint32_t mask, int predicate) {
    const uint64_t* values = emulator::exchange("__ballot_sync", mask, predicate != 0);
    uint32_t word = 0;
    for (int lane = 0; lane < 32; ++lane) word |= (uint32_t)values[lane] << lane;
    return word;
}
inline int __any_sync(uint32_t mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline uint32_t __reduce_add_sync(uint32_t mask, uint32_t value) {
    const uint64_t* values = emulator::exchange("__reduce_add_sync", mask, value);
    uint32_t sum = 0;
    for (int lane = 0; lane < 32; ++lane) sum += (uint32_t)values[lane];
    return sum;
}
template <class T>
T emulated_shuffle(const char* name, uint32_t mask, T value, int source) {
    uint64_t word = 0;
    memcpy(&word, &value, sizeof value);
    const uint64_t* values = emulator::exchange(name, mask, word);
    int lane = emulator::current->number % 32;
    word = values[source < 0 || source > 31 ? lane : source];
    memcpy(&value, &word, sizeof value);
    return value;
}
template <class T>
T __shfl_sync(uint32_t mask, T value, int source) {
    return emulated_shuffle("__shfl_sync", mask, value, source & 31);
}
template <class T>
T __shfl_up_sync(uint32_t mask, T value, unsigned distance) {
    return emulated_shuffle("__shfl_up_sync", mask, value, (int)(emulator::current->number % 32) - (int)distance);
}
template <class T>
T __shfl_xor_sync(uint32_t mask, T value, int bits) {
    return emulated_shuffle("__shfl_xor_sync", mask, value, (emulator::current->number % 32) ^ bits);
}

template <class T>
T atomicAdd(T* address, T value) {
    emulator::maybe_pause();
    T before = *address;
    *address = before + value;
    return before;
}
template <class T>
T atomicOr(T* address, T value) {
    emulator::maybe_pause();
    T before = *address;
    *address = before | value;
    return before;
}

template <class T>
T __ldg(const T* address) {
    if ((uintptr_t)address % alignof(T)) emulator::fault = "a misaligned load";
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
using std::max;
using std::min;
