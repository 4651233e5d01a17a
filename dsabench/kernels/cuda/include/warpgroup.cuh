// Warpgroups, four warps from a multiple of four on: registers moved between them, barriers of some of a block's threads (PTX ISA,
// "setmaxnreg", "bar").
#pragma once

#include "types.cuh"

// Every warp of a warpgroup raises or lowers its threads' registers to Registers, a multiple of 8 from 24 to 256. Raising waits until
// others have given enough back. The kernel is compiled with `__launch_bounds__`, from which its first share follows.
template <int Registers>
__device__ __forceinline__ void raise_registers() {
    static_assert(Registers >= 24 && Registers <= 256 && Registers % 8 == 0, "what setmaxnreg takes");
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
__device__ __forceinline__ void lower_registers() {
    static_assert(Registers >= 24 && Registers <= 256 && Registers % 8 == 0, "what setmaxnreg takes");
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}

// Barrier `id`, 1 to 15 (0 is __syncthreads'), of Threads threads, whole warps: who syncs waits for all Threads, those that only
// arrive among them; what they wrote before is seen after.
template <int Threads>
__device__ __forceinline__ void named_barrier_sync(uint32_t id) {
    static_assert(Threads > 0 && Threads % 32 == 0, "whole warps");
    asm volatile("bar.sync %0, %1;" ::"r"(id), "n"(Threads) : "memory");
}
template <int Threads>
__device__ __forceinline__ void named_barrier_arrive(uint32_t id) {
    static_assert(Threads > 0 && Threads % 32 == 0, "whole warps");
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "n"(Threads) : "memory");
}
