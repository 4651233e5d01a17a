// Asynchronous copies, which arrive between their issue and what waits for them, and the barriers in shared memory that count them.
#pragma once

#include "machine.h"

namespace emulator {

void mbarrier_init(void* barrier, uint32_t arrivals);
void mbarrier_expect(uint32_t address, uint32_t bytes);
void mbarrier_arrive(uint32_t address);
bool mbarrier_test(uint32_t address, uint32_t parity);
bool mbarrier_try_wait(uint32_t address, uint32_t parity);  // may return false for no reason
void mbarrier_wait(uint32_t address, uint32_t parity);

void copy_async(void* shared, const void* global, uint32_t bytes, uint32_t taken);
void copy_async_commit();
void copy_async_wait(unsigned pending);
void copy_async_arrive(uint32_t barrier, bool counted_extra = false);  // counted_extra: without .noinc
void bulk_copy(uint32_t shared, const void* from, uint32_t bytes, uint32_t barrier);
void store_async(uint32_t remote, const void* value, uint32_t bytes, uint32_t remote_barrier);

// Finishes some of what is under way; whether there was any.
bool progress_copies(std::vector<Fiber>& fibers);

}  // namespace emulator
