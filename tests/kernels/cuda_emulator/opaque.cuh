// Stands for kernels/cuda/include/opaque.cuh.
#pragma once

#include "types.cuh"

inline uint64_t opaque(uint64_t value) { return value; }
