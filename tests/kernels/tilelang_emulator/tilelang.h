// What TileLang's generated CUDA C++ takes from its templates (tl_templates/cuda), on `cuda_emulator`'s machine: bf16, fp8 e4m3 and
// float32; cp.async, barriers, wgmma, ldmatrix and stmatrix, reductions over threads, atomics. What is not here does not compile:
// TMA by descriptors, mma.sync, float16, sparse products, other fp8. Written from the PTX ISA and the generated code.
#pragma once

#include "barriers.h"
#include "gemm.h"
#include "memory.h"
#include "reduce.h"
#include "types.h"
