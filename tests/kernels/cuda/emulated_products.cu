// One product, of operands that the test lays out in shared memory: `steps` wgmmas along k. kind: of the operands, see `issue`. A's
// image comes first, B's after `a_bytes`.
#include "shared_memory.cuh"
#include "wgmma.cuh"

enum Kind { BF16, BF16_REGISTERS, E4M3 };

struct Operands {
    uint64_t a, b;
    const uint32_t* a_words;  // of this thread and step
    Kind kind;
    bool a_mn_major, b_mn_major;
};

template <int Width>
__device__ void issue(float (&sums)[Width / 2], const Operands& of, bool add) {
    if (of.kind == E4M3) return wgmma_e4m3<Width>(sums, of.a, of.b, add);
    if (of.kind == BF16_REGISTERS) {
        uint32_t words[4] = {of.a_words[0], of.a_words[1], of.a_words[2], of.a_words[3]};
        if (of.b_mn_major) return wgmma_bf16<Width, MN_MAJOR>(sums, words, of.b, add);
        return wgmma_bf16<Width>(sums, words, of.b, add);
    }
    if (of.a_mn_major) return wgmma_bf16<Width, MN_MAJOR, K_MAJOR>(sums, of.a, of.b, add);
    if (of.b_mn_major) return wgmma_bf16<Width, K_MAJOR, MN_MAJOR>(sums, of.a, of.b, add);
    wgmma_bf16<Width>(sums, of.a, of.b, add);
}

template <int Width>
__device__ void product(Operands of, int steps, int a_step, int b_step, float* out) {
    float sums[Width / 2];
    wgmma_fence();
    for (int step = 0; step < steps; ++step) {
        issue<Width>(sums, of, step > 0);
        of.a = advanced(of.a, a_step);
        of.b = advanced(of.b, b_step);
        of.a_words += 128 * 4;
    }
    wgmma_commit();
    wgmma_wait<0>();
    for (int i = 0; i < Width / 2; ++i) {
        int row = threadIdx.x / 32 * 16 + i / 2 % 2 * 8 + threadIdx.x % 32 / 4;
        out[row * Width + i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2] = sums[i];
    }
}

extern "C" __global__ void __launch_bounds__(128)
    multiply(const uint4* images, int32_t a_bytes, int32_t bytes, uint64_t a, uint64_t b, int32_t a_step, int32_t b_step,
             const uint32_t* a_words, float* out, int32_t kind, int32_t width, int32_t steps, int32_t a_mn_major, int32_t b_mn_major) {
    unsigned char* shared = dynamic_shared_memory();
    for (int i = threadIdx.x; i < bytes / 16; i += 128) ((uint4*)shared)[i] = images[i];
    fence_async_proxy();
    __syncthreads();
    Operands of{a | shared_address(shared) >> 4, b | shared_address(shared + a_bytes) >> 4, a_words + threadIdx.x * 4, (Kind)kind,
                a_mn_major != 0, b_mn_major != 0};
    if (width == 16) product<16>(of, steps, a_step, b_step, out);
    if (width == 64) product<64>(of, steps, a_step, b_step, out);
    if (width == 128) product<128>(of, steps, a_step, b_step, out);
    if (width == 256) product<256>(of, steps, a_step, b_step, out);
}
