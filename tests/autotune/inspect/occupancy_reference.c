// Reads "threads registers shared" lines, prints what NVIDIA's calculator says for compute capability 9.0.
#include <stdio.h>
#include "cuda_occupancy.h"

int main(void) {
    cudaOccDeviceProp device;
    cudaOccFuncAttributes kernel;
    cudaOccDeviceState state;
    cudaOccResult result;
    int threads, registers;
    long shared;
    memset(&device, 0, sizeof device);
    state.cacheConfig = CACHE_PREFER_NONE;
    state.carveoutConfig = SHAREDMEM_CARVEOUT_DEFAULT;
    device.computeMajor = 9;
    device.maxThreadsPerBlock = 1024;
    device.maxThreadsPerMultiprocessor = 2048;
    device.regsPerBlock = 65536;
    device.regsPerMultiprocessor = 65536;
    device.warpSize = 32;
    device.sharedMemPerBlock = 48 * 1024;
    device.sharedMemPerMultiprocessor = 228 * 1024;
    device.numSms = 132;
    device.sharedMemPerBlockOptin = 227 * 1024;
    device.reservedSharedMemPerBlock = 1024;
    while (scanf("%d %d %ld", &threads, &registers, &shared) == 3) {
        memset(&kernel, 0, sizeof kernel);
        kernel.maxThreadsPerBlock = 1024;
        kernel.numRegs = registers;
        kernel.numBlockBarriers = 1;
        kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
        kernel.maxDynamicSharedSizeBytes = 227 * 1024;
        cudaOccError status = cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads, shared);
        printf("%d %d\n", (int)status, status ? 0 : result.activeBlocksPerMultiprocessor);
    }
    return 0;
}
