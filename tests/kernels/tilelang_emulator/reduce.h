// TileLang's reductions over threads.
#pragma once

#include "barriers.h"
#include "emulator.h"

namespace tl {

struct SumOp {
    template <class T>
    T operator()(T a, T b) const { return a + b; }
};
struct MaxOp {
    template <class T>
    T operator()(T a, T b) const { return max(a, b); }
};
struct MinOp {
    template <class T>
    T operator()(T a, T b) const { return min(a, b); }
};
struct BitAndOp {
    template <class T>
    T operator()(T a, T b) const { return a & b; }
};
struct BitOrOp {
    template <class T>
    T operator()(T a, T b) const { return a | b; }
};

struct SyncThreadsBarrier {
    template <int>
    static void sync() { __syncthreads(); }
};
template <int Threads>
struct NamedBarrier {
    template <int Id>
    static void sync() { __sync_thread_partial(Id, Threads); }
};

template <class T>
T shfl_xor_sync(unsigned mask, T value, int bits) {
    return __shfl_xor_sync(mask, value, bits);
}

// Of `Threads` / `Scale` threads, `Scale` apart: by halves, the largest distance first, through shared memory between warps.
template <class Reducer, int Threads, int Scale, int Offset = 0, class Sync = SyncThreadsBarrier, int Batch = 1, int Stride = 0>
struct AllReduce {
    template <class T>
    static T run(T value, T* shared = nullptr) {
        reduce<1>(&value, shared);
        return value;
    }
    template <class T>
    static void run_batch(T* values, T* shared = nullptr) {
        reduce<Batch>(values, shared);
    }

private:
    template <int Count, class T>
    static void reduce(T* values, T* shared) {
        int thread = (int)threadIdx.x - Offset;
        for (int distance = Threads / 2; distance >= Scale; distance /= 2) {
            if (distance >= 32) {
                Sync::template sync<1>();
                for (int i = 0; i < Count; ++i) shared[thread + i * Stride] = values[i];
                Sync::template sync<2>();
                for (int i = 0; i < Count; ++i) values[i] = Reducer()(values[i], shared[(thread ^ distance) + i * Stride]);
            } else {
                for (int i = 0; i < Count; ++i) values[i] = Reducer()(values[i], __shfl_xor_sync(0xffffffffu, values[i], distance));
            }
        }
    }
};

template <class T, class Reducer>
T warp_reduce(T value, Reducer reducer) {
    for (int distance = 16; distance; distance /= 2) value = reducer(value, __shfl_xor_sync(0xffffffffu, value, distance));
    return value;
}
template <class T>
T warp_reduce_sum(T value) { return warp_reduce(value, SumOp()); }
template <class T>
T warp_reduce_max(T value) { return warp_reduce(value, MaxOp()); }
template <class T>
T warp_reduce_min(T value) { return warp_reduce(value, MinOp()); }
template <class T>
T warp_reduce_bitand(T value) { return warp_reduce(value, BitAndOp()); }
template <class T>
T warp_reduce_bitor(T value) { return warp_reduce(value, BitOrOp()); }

}  // namespace tl
