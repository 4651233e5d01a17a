#pragma once
#include "types.cuh"

__device__ inline float scaled(float x, int32_t by) { return x * by; }
