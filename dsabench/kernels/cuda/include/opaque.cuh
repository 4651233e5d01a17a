// What the compiler shall not look through.
#pragma once

#include "types.cuh"

// `value`, of unknown origin: what depends on it is computed where it stands. Without it all descriptors that a loop makes of one base
// are made before the loop, and kept in registers or spilled.
__device__ __forceinline__ uint64_t opaque(uint64_t value) {
    asm volatile("" : "+l"(value));
    return value;
}
