// Stands for kernels/cuda/include/exp2.cuh: nearer than 2 ulp.
#pragma once

#include "emulator.h"

inline float exp2_approximate(float x) {
    float power = std::exp2(x);
    return power < 0x1p-126f ? 0.0f : power;
}
