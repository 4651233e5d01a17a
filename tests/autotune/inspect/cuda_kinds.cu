// Small kernels whose machine code shows one thing each.
#include "types.cuh"

__device__ inline void product(float (&a)[4], uint64_t left, uint64_t right) {
  asm volatile("wgmma.fence.sync.aligned;");
  asm volatile(
      "{ .reg .pred p; setp.ne.b32 p, 1, 0;"
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, %4, %5, p, 1, 1, 0, 0; }"
      : "+f"(a[0]), "+f"(a[1]), "+f"(a[2]), "+f"(a[3])
      : "l"(left), "l"(right));
  asm volatile("wgmma.commit_group.sync.aligned;");
  if (SERIALIZED) a[0] += 1.f;
  asm volatile("wgmma.wait_group.sync.aligned 0;");
}

extern "C" __global__ void __launch_bounds__(THREADS) products(float* out, int64_t left, int64_t right, int32_t steps) {
  float a[4] = {0, 0, 0, 0};
#pragma unroll(SERIALIZED ? 4 : 1)
  for (int32_t i = 0; i < steps; i++) product(a, left + i, right);
  out[threadIdx.x] = a[0] + a[1] + a[2] + a[3];
}

extern "C" __global__ void copy(const float4* in, float4* out) {
  __shared__ float4 staged[64];
  staged[threadIdx.x] = in[blockIdx.x * 64 + threadIdx.x];
  __syncthreads();
  out[blockIdx.x * 64 + threadIdx.x] = staged[63 - threadIdx.x];
}

extern "C" __global__ void __launch_bounds__(1024) spilling(float* out, int32_t steps) {
  float held[128];
#pragma unroll
  for (int i = 0; i < 128; i++) held[i] = out[i * 1024 + threadIdx.x];
#pragma unroll 1
  for (int32_t step = 0; step < steps; step++) {
#pragma unroll
    for (int i = 0; i < 128; i++) held[i] = held[i] * held[(i + 1) % 128] + step;
  }
#pragma unroll
  for (int i = 0; i < 128; i++) out[i * 1024 + threadIdx.x] = held[i];
}
