// Accesses of shared memory that nothing orders, found by vector clocks (C. Flanagan, S. Freund, "FastTrack", PLDI 2009) where the
// kernel was compiled with hooks on its loads and stores (-fsanitize=thread, whose functions are here).
//
// Threads know of each other's accesses by barriers, exchanges in a warp and mbarriers; what copies write, by waiting for them. A
// second clock says what has passed a fence.proxy.async on its way: products and bulk copies may read no other threads' writes. Of
// the readers of a byte only the last is remembered. Atomics are taken for ordered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace emulator {

struct Fiber;
struct Block;
struct Mbarrier;

// What is known of every thread, then of every mbarrier: how far it has come.
struct Clock {
    std::vector<uint32_t> seen, fenced;

    void join(const Clock& other);
};

// Of a barrier: what those who come bring, and what those who leave take.
struct Meeting {
    Clock gathered, released;

    void end();
};

extern bool watching;  // the kernel has hooks

void watch_cluster(std::vector<Block>& blocks, std::vector<Fiber>& fibers, unsigned char* shared, size_t room);
void bring(Meeting& meeting);        // by the current thread, before it arrives
void take(const Meeting& meeting);   // by the current thread, when it need not wait any more
void watch_fence();                  // fence.proxy.async
void watch_mbarrier(Mbarrier& barrier);  // it was initialised
void end_phase(Mbarrier& barrier);       // of which `passed` tells already

enum class Proxy { GENERIC, ASYNC };

// A copy to shared memory: issued by the current thread; seen to be done by `fiber`, which waited; counted by a barrier.
void watch_issue(const void* to, size_t bytes);
void watch_waited(const Fiber& fiber, const void* to, size_t bytes);
void watch_counted(const Mbarrier& barrier, const void* to, size_t bytes, Proxy proxy);
// A read by the asynchronous proxy of bytes that `reader` knows, and when it is known to be over.
void watch_async_read(const Clock& reader, const void* from, size_t bytes);
void watch_async_read_done(const Fiber& fiber, const void* from, size_t bytes);
void watch_async_read_counted(const Mbarrier& barrier, const void* from, size_t bytes);

}  // namespace emulator
