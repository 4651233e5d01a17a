// Stands for kernels/cuda/include/shared_memory.cuh: each block has memory of its own.
#pragma once

#include "emulator.h"
#include "types.cuh"

inline unsigned char* dynamic_shared_memory() { return DYNAMIC_SHARED; }
inline uint32_t shared_address(const void* pointer) { return emulator::shared_address(pointer); }
