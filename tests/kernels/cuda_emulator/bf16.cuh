// Stands for kernels/cuda/include/bf16.cuh, over numbers.h.
#pragma once

#include "fp8.cuh"

// Of the exact value's double: rounded to odd on the way, so that the second rounding is that of the exact value.
inline uint16_t emulated_bf16(double value) {
    float near = (float)value;
    if (near == value || std::isinf(near)) return emulator::float_to_bf16(near);
    if (!(emulator::bits_of(near) & 1)) near = std::nextafter(near, near < value ? INFINITY : -INFINITY);
    return emulator::float_to_bf16(near);
}

inline uint32_t fma_bf16x2(uint32_t a, uint32_t b, uint32_t c) {
    float2 x = unpack_bf16x2(a), y = unpack_bf16x2(b), z = unpack_bf16x2(c);
    return emulated_bf16((double)x.x * y.x + z.x) | (uint32_t)emulated_bf16((double)x.y * y.y + z.y) << 16;
}
inline uint32_t multiply_bf16x2(uint32_t a, uint32_t b) {
    float2 x = unpack_bf16x2(a), y = unpack_bf16x2(b);
    return emulated_bf16((double)x.x * y.x) | (uint32_t)emulated_bf16((double)x.y * y.y) << 16;
}
