// TileLang's number types: cutlass's bfloat16_t and fp8, CUDA's pairs of them, its own vectors of them.
#pragma once

#include "emulator.h"
#include "numbers.h"

using uint = unsigned int;
using uchar = unsigned char;
using ushort = unsigned short;

#define CUDART_INF_F __builtin_inff()
#define CUDART_NAN_F __builtin_nanf("")
#define __restrict__ __restrict

struct bfloat16_t {
    uint16_t storage;
    bfloat16_t() = default;
    explicit bfloat16_t(float value) : storage(emulator::float_to_bf16(value)) {}
    explicit bfloat16_t(double value) : bfloat16_t((float)value) {}
    explicit bfloat16_t(int value) : bfloat16_t((float)value) {}
    operator float() const { return emulator::bf16_to_float(storage); }
};
inline bfloat16_t operator+(bfloat16_t a, bfloat16_t b) { return bfloat16_t((float)a + (float)b); }
inline bfloat16_t operator-(bfloat16_t a, bfloat16_t b) { return bfloat16_t((float)a - (float)b); }
inline bfloat16_t operator*(bfloat16_t a, bfloat16_t b) { return bfloat16_t((float)a * (float)b); }
inline bfloat16_t operator/(bfloat16_t a, bfloat16_t b) { return bfloat16_t((float)a / (float)b); }
using __nv_bfloat16 = bfloat16_t;

struct fp8_e4_t {
    uint8_t storage;
    fp8_e4_t() = default;
    explicit fp8_e4_t(float value) : storage(emulator::float_to_e4m3(value)) {}
    operator float() const { return emulator::e4m3_to_float(storage); }
};
struct alignas(2) fp8_e4_2_t { fp8_e4_t x, y; };
struct alignas(4) fp8_e4_4_t { fp8_e4_t x, y, z, w; };
struct alignas(8) fp8_e4_8_t { fp8_e4_4_t x, y; };
struct alignas(16) fp8_e4_16_t { fp8_e4_8_t x, y; };
struct alignas(32) fp8_e4_32_t { fp8_e4_16_t x, y; };

struct uint1 { uint32_t x; };
struct alignas(4) __nv_bfloat162 { bfloat16_t x, y; };
using __nv_fp8x2_storage_t = uint16_t;
using __nv_fp8_storage_t = uint8_t;
enum { __NV_E4M3 };
enum { __NV_SATFINITE };

inline __nv_bfloat162 __float22bfloat162_rn(float2 pair) { return {bfloat16_t(pair.x), bfloat16_t(pair.y)}; }
inline uint32_t __pack_half2(bfloat16_t low, bfloat16_t high) { return low.storage | (uint32_t)high.storage << 16; }
inline uint32_t __pack_nv_bfloat162(bfloat16_t low, bfloat16_t high) { return __pack_half2(low, high); }
inline float2 __bfloat1622float2(__nv_bfloat162 pair) { return {(float)pair.x, (float)pair.y}; }
inline float2 __tl_cvt_fp8x2_to_float2(uint16_t pair, int) {
    return {emulator::e4m3_to_float(pair), emulator::e4m3_to_float(pair >> 8)};
}
inline __nv_bfloat162 __tl_cvt_e4m3x2_to_bfloat162(uint16_t pair) {
    return __float22bfloat162_rn(__tl_cvt_fp8x2_to_float2(pair, __NV_E4M3));
}
inline uint16_t __nv_cvt_float2_to_fp8x2(float2 pair, int, int) {
    return emulator::float_to_e4m3(pair.x) | (uint16_t)(emulator::float_to_e4m3(pair.y) << 8);
}
inline uint8_t __nv_cvt_float_to_fp8(float value, int, int) { return emulator::float_to_e4m3(value); }

namespace tl {

template <class Vector, class T>
Vector broadcast(T value) {
    Vector vector;
    for (size_t i = 0; i < sizeof(Vector) / sizeof(T); ++i) memcpy((char*)&vector + i * sizeof(T), &value, sizeof(T));
    return vector;
}
template <class T>
uint1 to_uint1(T pair) {
    uint1 word;
    memcpy(&word, &pair, 4);
    return word;
}
template <class T>
T from_uint1(uint1 word) {
    T pair;
    memcpy(&pair, &word, 4);
    return pair;
}

inline __nv_bfloat162 add2(__nv_bfloat162 a, __nv_bfloat162 b) { return {a.x + b.x, a.y + b.y}; }
inline __nv_bfloat162 sub2(__nv_bfloat162 a, __nv_bfloat162 b) { return {a.x - b.x, a.y - b.y}; }
inline __nv_bfloat162 mul2(__nv_bfloat162 a, __nv_bfloat162 b) { return {a.x * b.x, a.y * b.y}; }
inline __nv_bfloat162 fma2(__nv_bfloat162 a, __nv_bfloat162 b, __nv_bfloat162 c) {
    return {bfloat16_t((float)a.x * (float)b.x + (float)c.x), bfloat16_t((float)a.y * (float)b.y + (float)c.y)};
}
inline float2 add2(float2 a, float2 b) { return {a.x + b.x, a.y + b.y}; }
inline float2 sub2(float2 a, float2 b) { return {a.x - b.x, a.y - b.y}; }
inline float2 mul2(float2 a, float2 b) { return {a.x * b.x, a.y * b.y}; }
inline float2 fma2(float2 a, float2 b, float2 c) { return {std::fma(a.x, b.x, c.x), std::fma(a.y, b.y, c.y)}; }
inline float2 max2(float2 a, float2 b) { return {std::fmax(a.x, b.x), std::fmax(a.y, b.y)}; }
inline float2 min2(float2 a, float2 b) { return {std::fmin(a.x, b.x), std::fmin(a.y, b.y)}; }

}  // namespace tl
