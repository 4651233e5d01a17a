// Conversions of pairs, each pair by a thread.
#include "bf16.cuh"
#include "fp8.cuh"

extern "C" __global__ void __launch_bounds__(128)
    convert(const float2* floats, int32_t pairs, const uint16_t* codes, uint32_t* bf16, uint16_t* e4m3, float2* from_codes,
            uint32_t* codes_bf16, uint32_t* products, uint32_t* sums) {
    for (int i = threadIdx.x; i < pairs; i += 128) {
        bf16[i] = pack_bf16x2(floats[i].x, floats[i].y);
        e4m3[i] = pack_e4m3x2(floats[i].x, floats[i].y);
        uint32_t other = pack_bf16x2(floats[pairs - 1 - i].x, floats[pairs - 1 - i].y);
        products[i] = multiply_bf16x2(bf16[i], other);
        sums[i] = fma_bf16x2(bf16[i], other, products[i]);
    }
    for (int i = threadIdx.x; i < 128; i += 128) {
        from_codes[i] = e4m3x2_to_floats(codes[i]);
        codes_bf16[i] = e4m3x2_to_bf16x2(codes[i]);
    }
}
