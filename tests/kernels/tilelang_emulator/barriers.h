// TileLang's barriers: in shared memory, by number, and what else orders threads.
#pragma once

#include "asynchronous.h"
#include "emulator.h"
#include "products.h"

// 8 bytes of shared memory.
struct Barrier {
    uint64_t storage;

    uint32_t address() const { return emulator::shared_address(&storage); }
    void init(uint32_t arrivals) const { emulator::mbarrier_init((void*)&storage, arrivals); }
    void wait(uint32_t parity) const { emulator::mbarrier_wait(address(), parity); }
    bool try_wait(uint32_t parity) const { return emulator::mbarrier_try_wait(address(), parity); }
    void arrive() const { emulator::mbarrier_arrive(address()); }
    void arrive(uint32_t rank, uint32_t wanted = 1) const {
        if (wanted) emulator::mbarrier_arrive(emulator::map_shared(&storage, rank));
    }
    void expect_transaction(uint32_t bytes) const { emulator::mbarrier_expect(address(), bytes); }
    void arrive_and_expect_tx(uint32_t bytes) const {
        expect_transaction(bytes);
        arrive();
    }
};

namespace tl {

template <class T>
void mbarrier_cp_async_arrive_noinc(T& barrier) {
    emulator::copy_async_arrive(emulator::shared_address(&barrier), false);
}
template <class T>
void mbarrier_cp_async_arrive(T& barrier) {
    emulator::copy_async_arrive(emulator::shared_address(&barrier), true);
}
template <class T>
void tma_load(void* shared, const void* global, T& barrier, uint32_t bytes) {
    emulator::bulk_copy(emulator::shared_address(shared), global, bytes, emulator::shared_address(&barrier));
}
inline void fence_proxy_async() { emulator::watch_fence(); }
inline void fence_barrier_init() {}
inline void __sync_thread_partial(int id, int threads) { emulator::named_barrier(id, threads, true); }
inline void __named_barrier_arrive(int id, int threads) { emulator::named_barrier(id, threads, false); }

// One thread of every `Threads`, or of the block.
template <int Threads>
bool tl_shuffle_elect() {
    unsigned warp = emulator::current->number / 32;
    return emulator::current->lane() == 0 && (Threads ? warp % ((Threads + 31) / 32) == 0 : warp == 0);
}
inline int get_lane_idx() { return emulator::current->lane(); }
inline int get_warp_idx() { return emulator::current->number / 32; }
inline int get_warp_idx_sync() { return get_warp_idx(); }
inline int get_warp_group_idx() { return emulator::current->number / 128; }

template <uint32_t Registers>
void warpgroup_reg_alloc() {
    static_assert(Registers >= 24 && Registers <= 256 && Registers % 8 == 0, "what setmaxnreg takes");
    emulator::set_registers(Registers, true);
}
template <uint32_t Registers>
void warpgroup_reg_dealloc() {
    static_assert(Registers >= 24 && Registers <= 256 && Registers % 8 == 0, "what setmaxnreg takes");
    emulator::set_registers(Registers, false);
}

}  // namespace tl
