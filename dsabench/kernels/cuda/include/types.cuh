// Fixed-width types: NVRTC has no <stdint.h>. Sizes are CUDA's on every 64-bit platform.
#pragma once

typedef signed char int8_t;
typedef unsigned char uint8_t;
typedef short int16_t;
typedef unsigned short uint16_t;
typedef int int32_t;
typedef unsigned int uint32_t;
typedef long long int64_t;
typedef unsigned long long uint64_t;

static_assert(sizeof(int32_t) == 4 && sizeof(int64_t) == 8 && sizeof(void*) == 8, "a 64-bit platform");
