// e4m3 codes times a float32 scale to bf16: 11 instructions for four codes, none of them a conversion.
//
// The seven low bits of a code, shifted into the lowest exponent and highest fraction bits of a bf16, are the code's value · 2⁻¹²⁰,
// subnormal codes included (then the bf16 is subnormal). The scale · 2¹²⁰ is split into two bf16 whose sum is good to 2⁻¹⁷, so that
// code · low, and code · high + that, are the product rounded once but for that 2⁻¹⁷. NaN codes become ±480: only tokens that do not
// count may have them.
#pragma once

#include "bf16.cuh"
#include "fp8.cuh"

struct Scale {
    uint32_t high, low;  // each twice, as a pair
};

// LARGE: scales of 256 and above, whose 2¹²⁰-fold would overflow; it is then the codes that are multiplied by 2¹²⁰.
constexpr float LARGE_SCALE = 128.0f;
constexpr uint32_t EXPONENT_120 = 127 + 120;

template <bool LARGE>
__device__ __forceinline__ Scale split_scale(float scale) {
    float raised = LARGE ? scale : scale * __uint_as_float(EXPONENT_120 << 23);
    uint32_t high = pack_bf16x2(raised, raised);
    float rest = raised - unpack_bf16x2(high).x;
    return {high, pack_bf16x2(rest, rest)};
}

template <bool LARGE>
__device__ __forceinline__ uint32_t scaled(uint32_t codes, Scale scale) {
    if constexpr (LARGE) codes = multiply_bf16x2(codes, EXPONENT_120 << 7 | EXPONENT_120 << 23);
    return fma_bf16x2(codes, scale.high, multiply_bf16x2(codes, scale.low));
}

// Codes 0 and 2 of a word.
template <bool LARGE>
__device__ __forceinline__ uint32_t dequantize_even(uint32_t word, Scale scale) {
    return scaled<LARGE>((word << 4 & 0x07f007f0u) | (word << 8 & 0x80008000u), scale);
}

// Codes 1 and 3.
template <bool LARGE>
__device__ __forceinline__ uint32_t dequantize_odd(uint32_t word, Scale scale) {
    return scaled<LARGE>((word >> 4 & 0x07f007f0u) | (word & 0x80008000u), scale);
}
