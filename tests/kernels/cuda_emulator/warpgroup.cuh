// Stands for kernels/cuda/include/warpgroup.cuh: registers are only counted.
#pragma once

#include "emulator.h"
#include "types.cuh"

template <int Registers>
void raise_registers() {
    static_assert(Registers >= 24 && Registers <= 256 && Registers % 8 == 0, "what setmaxnreg takes");
    emulator::set_registers(Registers, true);
}
template <int Registers>
void lower_registers() {
    static_assert(Registers >= 24 && Registers <= 256 && Registers % 8 == 0, "what setmaxnreg takes");
    emulator::set_registers(Registers, false);
}
template <int Threads>
void named_barrier_sync(uint32_t id) {
    static_assert(Threads > 0 && Threads % 32 == 0, "whole warps");
    emulator::named_barrier(id, Threads, true);
}
template <int Threads>
void named_barrier_arrive(uint32_t id) {
    static_assert(Threads > 0 && Threads % 32 == 0, "whole warps");
    emulator::named_barrier(id, Threads, false);
}
