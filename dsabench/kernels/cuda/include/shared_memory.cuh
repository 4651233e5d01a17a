// Dynamic shared memory, and addresses in it as PTX takes them.
//
// A kernel's shared memory is all dynamic: no `__shared__` variables beside it, so that it starts on a 1024-byte boundary, which the
// 128-byte swizzle counts from, and so that a CPU can run the kernel's text with memory of its own for each block.
#pragma once

#include "types.cuh"

extern __shared__ __align__(1024) unsigned char dynamic_shared_bytes[];

// The first byte; 1024-byte aligned.
__device__ __forceinline__ unsigned char* dynamic_shared_memory() { return dynamic_shared_bytes; }

// The address of this block's shared memory as a 32-bit operand; `pointer`: generic, into shared memory.
__device__ __forceinline__ uint32_t shared_address(const void* pointer) { return (uint32_t)__cvta_generic_to_shared(pointer); }
