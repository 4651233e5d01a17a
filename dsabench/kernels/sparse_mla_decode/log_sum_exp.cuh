// A row's log-sum-exp in base 2, of scores times log2(e), and the attention sink's share of it.
#pragma once

constexpr float LOG2_E = 1.4426950408889634f;
constexpr float LN_2 = 0.6931471805599453f;

// The score where there is no token, and the log-sum-exp of a row without any.
__device__ __forceinline__ float no_score() { return __uint_as_float(0xff800000u); }

// exp(lse) / (exp(lse) + exp(sink)) of an lse in base 2 and a sink in natural units: 1 where the sink is -infinity, 0 where it is
// +infinity; 1 for a row without a token, which has no output.
__device__ __forceinline__ float sink_factor(float lse, float sink) {
    return sink == no_score() || lse == no_score() ? 1.0f : 1.0f / (1.0f + exp2f(sink * LOG2_E - lse));
}
