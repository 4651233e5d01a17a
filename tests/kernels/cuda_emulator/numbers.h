// bf16, float16 and fp8 e4m3, converted as the GPU does it: rounded to nearest even.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace emulator {

inline uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}
inline float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

inline float bf16_to_float(uint16_t bits) { return float_of((uint32_t)bits << 16); }
inline uint16_t float_to_bf16(float value) {
    uint32_t bits = bits_of(value);
    if (value != value) return 0x7fff;
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

inline float f16_to_float(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float size = exponent == 31 ? (fraction ? NAN : INFINITY)
                 : exponent   ? std::ldexp(1024.0f + fraction, exponent - 25)
                              : std::ldexp((float)fraction, -24);
    return bits & 0x8000 ? -size : size;
}

inline uint16_t float_to_f16(float value) {
    uint16_t sign = bits_of(value) >> 16 & 0x8000;
    float size = std::fabs(value);
    if (size != size) return 0x7fff;
    if (size >= 65520.0f) return sign | 0x7c00;
    int exponent = size < 0x1p-14f ? -14 : std::ilogb(size);
    int steps = (int)std::nearbyint(std::ldexp(size, 10 - exponent));  // of 2^(exponent - 10): up to 2048, which carries
    return sign | (uint16_t)((exponent + 14) * 1024 + steps);
}

// e4m3: bias 7, no infinities, NaN is all ones, the largest is 448.
inline float e4m3_to_float(uint8_t bits) {
    int exponent = bits >> 3 & 15, fraction = bits & 7;
    float size = (bits & 0x7f) == 0x7f ? NAN : exponent ? std::ldexp(8.0f + fraction, exponent - 10) : std::ldexp((float)fraction, -9);
    return bits & 0x80 ? -size : size;
}

inline uint8_t float_to_e4m3(float value) {  // satfinite
    uint8_t sign = bits_of(value) >> 24 & 0x80;
    float size = std::fabs(value);
    if (size != size) return 0x7f;
    if (size >= 448.0f) return sign | 0x7e;
    int exponent = size < 0x1p-6f ? -6 : std::ilogb(size);
    int steps = (int)std::nearbyint(std::ldexp(size, 3 - exponent));  // of 2^(exponent - 3): up to 16, which carries
    return sign | (uint8_t)((exponent + 6) * 8 + steps);
}

}  // namespace emulator
