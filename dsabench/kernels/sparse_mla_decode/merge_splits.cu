// The merge of split-KV partial results: a row's output is the mean of its splits' outputs, weighted by 2^lse.
//
// partial_out f32 [splits, rows, 512], each normalised; partial_lse f32 [splits, rows], base 2, -infinity where a split saw no token:
// its partial_out is not read and may hold anything. sink f32 [heads] or null, of head row % heads, natural units.
// -> out bf16 [rows, 512], lse f32 [rows], natural; a row without any token: 0 and -infinity.
// Grid: (rows,), a thread four dims.
//
// 1. Each thread reads the row's lse of all splits: their maximum.
// 2. Outputs are summed with weights 2^(lse - maximum), in the order of the splits: repeats are bitwise equal.
// 3. out = sum / sum of weights, times exp(lse) / (exp(lse) + exp(sink)).
#include "fp8.cuh"
#include "log_sum_exp.cuh"

constexpr int THREADS = LATENT / 4;

extern "C" __global__ void __launch_bounds__(THREADS)
merge_splits(const float* partial_out, const float* partial_lse, const float* sink, uint16_t* out, float* lse, int splits, int rows,
             int heads) {
    int row = blockIdx.x;
    float maximum = no_score();
    for (int split = 0; split < splits; ++split) maximum = fmaxf(maximum, __ldg(partial_lse + (int64_t)split * rows + row));

    float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    float total = 0.0f;
#pragma unroll 4
    for (int split = 0; split < splits; ++split) {
        int64_t at = (int64_t)split * rows + row;
        float part_lse = __ldg(partial_lse + at);
        if (part_lse == no_score()) continue;
        float4 part = __ldg((const float4*)(partial_out + at * LATENT) + threadIdx.x);
        float weight = exp2f(part_lse - maximum);
        total += weight;
        sum.x += weight * part.x;
        sum.y += weight * part.y;
        sum.z += weight * part.z;
        sum.w += weight * part.w;
    }
    float lse2 = maximum + log2f(total), factor = total > 0.0f ? 1.0f / total : 0.0f;
    if (sink) factor *= sink_factor(lse2, __ldg(sink + row % heads));
    uint2 packed = make_uint2(pack_bf16x2(sum.x * factor, sum.y * factor), pack_bf16x2(sum.z * factor, sum.w * factor));
    ((uint2*)(out + (int64_t)row * LATENT))[threadIdx.x] = packed;
    if (threadIdx.x == 0) lse[row] = lse2 * LN_2;
}
