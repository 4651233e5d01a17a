// 2^x in one instruction (PTX ISA, "ex2.approx": 2 ulp): exp2f adds three for subnormal results, which are 0 here.
#pragma once

// exp2_approximate(-infinity) is 0.
__device__ __forceinline__ float exp2_approximate(float x) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
    return power;
}
