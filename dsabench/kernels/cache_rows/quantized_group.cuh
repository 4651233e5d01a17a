// A group of GROUP bf16 numbers to e4m3 with one scale, by GROUP / VALUES neighbouring lanes of a warp.
//
// scale = max(amax, AMAX_FLOOR) / E4M3_MAX in IEEE float32, with UE8M0 the lowest power of two that is no less; code = e4m3, nearest
// even, of the IEEE float32 quotient value / scale, beyond ±E4M3_MAX to ±E4M3_MAX. A NaN makes scale and codes NaN; an infinity makes
// the scale inf, its own code NaN and all others zeros of the value's sign. As kernels/fp8.py and kernels/cache_rows/exact.py.
//
// Constants: GROUP, VALUES (8 or 16 numbers a lane), E4M3_MAX, AMAX_FLOOR_BITS (of the float32), UE8M0.
// Source: REFERENCE §2; DeepSeek-V3.2's inference code, act_quant; the quotient: P. Markstein, "Computation of elementary functions
// on the IBM RISC System/6000 processor", IBM J. Res. Dev. 34 (1990), theorem 8.3.
#pragma once

#include "fp8.cuh"
#include "types.cuh"

constexpr int VECTORS = VALUES / 8;  // of 16 bytes, a lane's numbers
constexpr int GROUP_LANES = GROUP / VALUES;
constexpr uint32_t INFINITY_BITS = 0x7f800000u;
constexpr uint32_t FRACTION_BITS = 0x007fffffu;
constexpr uint32_t INVERSE_BITS = 0x7f000000u;  // of 2^-e, and of 2^e, add up to this

static_assert(VALUES == 8 || VALUES == 16, "a lane writes 8 or 16 codes at once");

struct Codes {
    uint32_t words[VALUES / 4];

    // `place`: VALUES-byte aligned.
    __device__ __forceinline__ void store(uint8_t* place) const {
        if constexpr (VALUES == 16)
            *(uint4*)place = uint4{words[0], words[1], words[2], words[3]};
        else
            *(uint2*)place = uint2{words[0], words[1]};
    }
};

// The largest magnitude of two bf16 and `largest`, as the bits of a float32: integers order as magnitudes do, NaN above all.
__device__ __forceinline__ uint32_t larger(uint32_t largest, uint32_t pair) {
    return max(max(largest, pair & 0x7fff0000u), pair << 16 & 0x7fffffffu);
}

// The IEEE quotient number / divisor from `inverse`, 1 / divisor rounded to nearest, none of them infinite: a product with the inverse
// and what its remainder adds. Each of the 2^30 pairs of a bf16's and a float32's significands was compared with the division. Where a
// remainder loses bits the quotient is below 2^-100, and its code 0 either way.
// A division is about ten instructions and a call for what is out of its range; this is three, and every number of a row is divided.
__device__ __forceinline__ float quotient(float number, float divisor, float inverse) {
    const float estimate = number * inverse;
    const float excess = fmaf(estimate, divisor, -number);  // and not number - estimate · divisor, with which -0 would become +0
    return fmaf(-excess, inverse, estimate);
}

// The scale of the group that this lane's numbers belong to. All lanes of the warp call it.
__device__ __forceinline__ float group_scale(const uint4 (&values)[VECTORS]) {
    uint32_t largest = AMAX_FLOOR_BITS;
#pragma unroll
    for (int i = 0; i < VECTORS; ++i)
        largest = larger(larger(larger(larger(largest, values[i].x), values[i].y), values[i].z), values[i].w);
#pragma unroll
    for (int bits = GROUP_LANES / 2; bits > 0; bits /= 2) largest = max(largest, __shfl_xor_sync(0xffffffffu, largest, bits));
    const float amax = __uint_as_float(largest);
    if (largest >= INFINITY_BITS) return amax;  // infinite or NaN
    const float scale = quotient(amax, (float)E4M3_MAX, 1.0f / E4M3_MAX);
    return UE8M0 ? __uint_as_float((__float_as_uint(scale) + FRACTION_BITS) & INFINITY_BITS) : scale;
}

// Two numbers as codes. inverse: of the scale, rounded to nearest.
__device__ __forceinline__ uint32_t code_pair(uint32_t numbers, float scale, float inverse) {
    const float2 both = unpack_bf16x2(numbers);
    if (UE8M0) return pack_e4m3x2(both.x * inverse, both.y * inverse);  // exact
    return pack_e4m3x2(quotient(both.x, scale, inverse), quotient(both.y, scale, inverse));
}

// 1 / scale, rounded to nearest; of a power of two without a division.
__device__ __forceinline__ float inverse_of(float scale) {
    const uint32_t bits = __float_as_uint(scale);
    if (!UE8M0) return 1.0f / scale;
    if (bits < INFINITY_BITS) return __uint_as_float(INVERSE_BITS - bits);
    return bits == INFINITY_BITS ? 0.0f : scale;  // NaN
}

__device__ __forceinline__ Codes quantized(const uint4 (&values)[VECTORS], float scale) {
    const float inverse = inverse_of(scale);
    // A remainder of an infinite scale would be NaN; of 1 it is the number, which times the inverse 0 adds nothing.
    if (__float_as_uint(scale) == INFINITY_BITS) scale = 1.0f;
    Codes codes;
#pragma unroll
    for (int i = 0; i < VECTORS; ++i) {
        codes.words[2 * i] = code_pair(values[i].x, scale, inverse) | code_pair(values[i].y, scale, inverse) << 16;
        codes.words[2 * i + 1] = code_pair(values[i].z, scale, inverse) | code_pair(values[i].w, scale, inverse) << 16;
    }
    return codes;
}
