// The first of two launches where one row has more SMs than a cluster: PARTS blocks a row keep what may be among its k highest.
//
// logits f32 [rows, width], starts, ends int32 [rows] -> of each part: counts uint32 [rows, PARTS], keys and columns uint32
// [rows, PARTS, room], of which `count` are written, in no order. A count above `room`: what reached the floor did not fit, or there
// is no floor; then `select_rows` (topk_select.cu) goes over the row. `most`: survivors of a row that it has room for.
//
// 1. The loads of a sample of the window are issued, and behind them those of the part's first chunk.
// 2. Each block finds the floor that somewhat more than k scores of the sample's row reach: the same in all.
// 3. One pass over the part keeps what reaches it.
#include "topk_sample.cuh"

// The tests run this file's blocks on a CPU, each with shared memory of its own.
#ifndef DYNAMIC_SHARED
extern __shared__ uint4 dynamic_shared[];
#define DYNAMIC_SHARED dynamic_shared
#endif

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AN_SM)
filter_parts(const uint32_t* logits, const int* starts, const int* ends, uint32_t* keys, uint32_t* columns, uint32_t* counts,
             int width, int k, int room, int most) {
    Scratch scratch((uint32_t*)DYNAMIC_SHARED);
    uint32_t* count = scratch.counters;
    int number = blockIdx.x / PARTS;
    const uint32_t* row = logits + (int64_t)number * width;
    int start = starts[number], n = ends[number] - start;
    if (n <= k) return;  // all of it is selected

    RowPart part(row, start, start + n, blockIdx.x % PARTS, PARTS);
    Sample sample;
    uint4 raw[ITEMS];
    sample.fetch(row + start, n);
    part.fetch(0, raw);
    if (threadIdx.x == 0) *count = 0;
    uint32_t floor = sample.floor(n, k, most, scratch.digits);  // its barriers are also those of *count
    if (floor == OUTSIDE) {
        if (threadIdx.x == 0) counts[blockIdx.x] = room + 1;
        return;
    }
    Kept kept = {keys + (int64_t)blockIdx.x * room, columns + (int64_t)blockIdx.x * room, room, 0};
    keep_reaching(part, raw, score_of(floor), kept, -part.first, count);
    __syncthreads();
    if (threadIdx.x == 0) counts[blockIdx.x] = *count;
}
