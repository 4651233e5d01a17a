// Stands for kernels/cuda/include/fp8.cuh, over numbers.h.
#pragma once

#include "emulator.h"
#include "numbers.h"
#include "types.cuh"

inline uint32_t pack_bf16x2(float low, float high) {
    return emulator::float_to_bf16(low) | (uint32_t)emulator::float_to_bf16(high) << 16;
}
inline float2 unpack_bf16x2(uint32_t pair) { return {emulator::bf16_to_float(pair), emulator::bf16_to_float(pair >> 16)}; }
inline uint32_t e4m3x2_to_f16x2(uint16_t pair) {
    uint32_t low = emulator::float_to_f16(emulator::e4m3_to_float(pair));
    uint32_t high = emulator::float_to_f16(emulator::e4m3_to_float(pair >> 8));
    return low | high << 16;
}
inline float2 f16x2_to_floats(uint32_t halves) { return {emulator::f16_to_float(halves), emulator::f16_to_float(halves >> 16)}; }
inline float2 e4m3x2_to_floats(uint16_t pair) { return {emulator::e4m3_to_float(pair), emulator::e4m3_to_float(pair >> 8)}; }
inline uint32_t e4m3x2_to_bf16x2(uint16_t pair) {
    float2 floats = e4m3x2_to_floats(pair);
    return pack_bf16x2(floats.x, floats.y);
}
inline uint16_t pack_e4m3x2(float low, float high) {
    return emulator::float_to_e4m3(low) | (uint16_t)(emulator::float_to_e4m3(high) << 8);
}
