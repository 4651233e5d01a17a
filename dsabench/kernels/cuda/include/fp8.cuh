// fp8 e4m3, bf16 and float32, two numbers at a time (PTX ISA, "cvt"); of a pair the first is the low half.
#pragma once

#include "types.cuh"

// Two floats to bf16, round to nearest even.
__device__ __forceinline__ uint32_t pack_bf16x2(float low, float high) {
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
}

// A bf16 is the upper half of a float.
__device__ __forceinline__ float2 unpack_bf16x2(uint32_t pair) {
    return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u));
}

// Two e4m3 to float16, exact; NaN stays NaN.
__device__ __forceinline__ uint32_t e4m3x2_to_f16x2(uint16_t pair) {
    uint32_t halves;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(pair));
    return halves;
}

__device__ __forceinline__ float2 f16x2_to_floats(uint32_t halves) {
    float2 floats;
    asm("{\n\t.reg .b16 low, high;\n\t"
        "mov.b32 {low, high}, %2;\n\t"
        "cvt.f32.f16 %0, low;\n\t"
        "cvt.f32.f16 %1, high;\n\t}"
        : "=f"(floats.x), "=f"(floats.y)
        : "r"(halves));
    return floats;
}

// Two e4m3 to float32, exact.
__device__ __forceinline__ float2 e4m3x2_to_floats(uint16_t pair) { return f16x2_to_floats(e4m3x2_to_f16x2(pair)); }

// Two e4m3 to bf16, exact: 3 bits of fraction and 2⁻⁹ fit.
__device__ __forceinline__ uint32_t e4m3x2_to_bf16x2(uint16_t pair) {
    float2 floats = e4m3x2_to_floats(pair);
    return pack_bf16x2(floats.x, floats.y);
}

// Two floats to e4m3, round to nearest even; what is beyond ±448, infinities too, becomes ±448, NaN stays NaN.
__device__ __forceinline__ uint16_t pack_e4m3x2(float low, float high) {
    uint16_t pair;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
    return pair;
}
