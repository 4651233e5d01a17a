#pragma once

struct dim3 { unsigned x = 1, y = 1, z = 1; };

extern dim3 threadIdx, blockIdx, blockDim, gridDim;  // threadIdx and blockIdx are the running fiber's
