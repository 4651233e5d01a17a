// Stands for kernels/cuda/include/types.cuh, which defines these itself: NVRTC has no <stdint.h>, a host compiler does.
#pragma once
#include <cstdint>
