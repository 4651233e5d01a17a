#include "asynchronous.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace emulator {

constexpr uint64_t MARK = 0x6d62617272696572;  // what stands in shared memory where a barrier is
constexpr uint32_t MOST_ARRIVALS = (1 << 20) - 1, MOST_BYTES = (1 << 20) - 1;  // PTX ISA, "mbarrier"

void mbarrier_init(void* barrier, uint32_t arrivals) {
    if ((uintptr_t)barrier % 8) fail("a misaligned mbarrier");
    if (!arrivals || arrivals > MOST_ARRIVALS) fail("an mbarrier of no, or too many, arrivals");
    Mbarrier& made = current->block->mbarriers[shared_address(barrier)];
    made = {};
    made.expected = made.missing = arrivals;
    watch_mbarrier(made);
    memcpy(barrier, &MARK, 8);
}

static Mbarrier& mbarrier_at(uint32_t address) {
    Block& block = block_at(address);
    auto found = block.mbarriers.find(address & 0xffffff);
    if (found == block.mbarriers.end()) fail("an mbarrier that was not initialised");
    if (memcmp(pointer_at(address, 8), &MARK, 8)) fail("an mbarrier was written over");
    return found->second;
}

static void settle(Mbarrier& barrier) {
    if (barrier.missing || barrier.bytes) return;
    barrier.missing = barrier.expected;
    ++barrier.passed;
    end_phase(barrier);
}

static void arrive(Mbarrier& barrier) {
    if (!barrier.missing) fail("more arrivals at an mbarrier than it was initialised with");
    --barrier.missing;
    settle(barrier);
}

static void complete(Mbarrier& barrier, uint32_t bytes) {
    barrier.bytes -= bytes;
    if (barrier.bytes < -(int64_t)MOST_BYTES) fail("more bytes come to an mbarrier than it can count");
    settle(barrier);
}

void mbarrier_expect(uint32_t address, uint32_t bytes) {
    Mbarrier& barrier = mbarrier_at(address);
    barrier.bytes += bytes;
    if (barrier.bytes > MOST_BYTES) fail("an mbarrier expects more bytes than it can count");
    settle(barrier);
}

void mbarrier_arrive(uint32_t address) {
    Mbarrier& barrier = mbarrier_at(address);
    bring(barrier.meeting);
    arrive(barrier);
    if (one_in(8)) pause();
}

bool mbarrier_test(uint32_t address, uint32_t parity) {
    Mbarrier& barrier = mbarrier_at(address);
    if ((barrier.passed & 1) == (parity & 1)) return false;
    take(barrier.meeting);
    return true;
}

bool mbarrier_try_wait(uint32_t address, uint32_t parity) {
    if (mbarrier_test(address, parity)) return true;
    if (one_in(4)) {
        pause();
        return false;
    }
    mbarrier_wait(address, parity);
    return true;
}

void mbarrier_wait(uint32_t address, uint32_t parity) {
    if (mbarrier_test(address, parity)) return;
    Mbarrier& barrier = mbarrier_at(address);
    wait_while(&barrier.passed, 1, parity & 1);
    take(barrier.meeting);
}

static void finish(Copy& copy) {
    copy.done = true;
    if (!copy.of->running) fail("an asynchronous copy comes to a block that has ended");
    if (!copy.to) {
        for (const Landing& landing : copy.landings) watch_counted(*copy.barrier, landing.to, landing.bytes, Proxy::GENERIC);
        arrive(*copy.barrier);
        return;
    }
    memcpy(copy.to, copy.from ? copy.from : copy.value, copy.taken);
    memset(copy.to + copy.taken, 0, copy.bytes - copy.taken);
    if (!copy.barrier) return;
    watch_counted(*copy.barrier, copy.to, copy.bytes, copy.proxy);
    complete(*copy.barrier, copy.bytes);
}

// Arrivals follow the copies before them; what is done is forgotten.
static void settle(std::vector<Copy>& copies) {
    for (Copy& copy : copies) {
        if (copy.to && !copy.done) break;
        if (!copy.done) finish(copy);
    }
    copies.erase(std::remove_if(copies.begin(), copies.end(), [](const Copy& copy) { return copy.done; }), copies.end());
}

void copy_async(void* shared, const void* global, uint32_t bytes, uint32_t taken) {
    if ((uintptr_t)shared % bytes || (uintptr_t)global % bytes) fail("a misaligned asynchronous copy");
    unsigned char* to = pointer_at(shared_address(shared), bytes);
    if (watching) {
        watch_issue(to, bytes);
        current->landings.push_back({to, bytes, current->group});
    }
    current->copies.push_back({to, global, bytes, taken, current->group, current->block, nullptr, {}, false});
    if (eagerness == Eagerness::AT_ONCE) {
        finish(current->copies.back());
        settle(current->copies);
    }
}

void copy_async_commit() { ++current->group; }

void copy_async_wait(unsigned pending) {
    for (Copy& copy : current->copies)
        if (copy.to && copy.group + pending < current->group) finish(copy);
    settle(current->copies);
    std::vector<Landing> later;
    for (const Landing& landing : current->landings) {
        if (landing.group + pending < current->group)
            watch_waited(*current, landing.to, landing.bytes);
        else
            later.push_back(landing);
    }
    current->landings = std::move(later);
    maybe_pause();
}

void copy_async_arrive(uint32_t barrier, bool counted_extra) {
    mbarrier_at(barrier).missing += counted_extra;
    Copy arrival{nullptr, nullptr, 0, 0, current->group, current->block, &mbarrier_at(barrier), {}, false};
    arrival.landings.swap(current->landings);
    current->copies.push_back(arrival);
    settle(current->copies);
    if (one_in(8)) pause();
}

static void issue(const Copy& copy) {
    watch_issue(copy.to, copy.bytes);
    if (copy.from) {
        watch_async_read(current->clock, copy.from, copy.bytes);
        watch_async_read_counted(*copy.barrier, copy.from, copy.bytes);
    }
    bulk_copies.push_back(copy);
    if (eagerness != Eagerness::AT_ONCE) return;
    finish(bulk_copies.back());
    bulk_copies.pop_back();
}

void bulk_copy(uint32_t shared, const void* from, uint32_t bytes, uint32_t barrier) {
    if (bytes % 16 || shared % 16 || (uintptr_t)from % 16) fail("a misaligned bulk copy, or of no multiple of 16 bytes");
    if (&block_at(shared) != &block_at(barrier)) fail("a bulk copy is counted by another block's mbarrier");
    issue({pointer_at(shared, bytes), from, bytes, bytes, 0, &block_at(shared), &mbarrier_at(barrier), {}, false, Proxy::ASYNC});
}

void store_async(uint32_t remote, const void* value, uint32_t bytes, uint32_t remote_barrier) {
    if (remote % bytes) fail("a misaligned remote store");
    if (&block_at(remote) != &block_at(remote_barrier)) fail("a remote store is counted by another block's mbarrier");
    Copy copy{pointer_at(remote, bytes), nullptr, bytes, bytes, 0, &block_at(remote), &mbarrier_at(remote_barrier), {}, false};
    memcpy(copy.value, value, bytes);
    issue(copy);
}

bool progress_copies(std::vector<Fiber>& fibers) {
    bool any = false;
    for (Fiber& fiber : fibers) {
        if (fiber.copies.empty() || fiber.block->running == 0) continue;
        current = &fiber;
        for (Copy& copy : fiber.copies) {
            any = true;
            if (copy.to && one_in(2)) finish(copy);
        }
        settle(fiber.copies);
    }
    for (Copy& copy : bulk_copies) {
        any = true;
        if (one_in(2)) finish(copy);
    }
    bulk_copies.erase(std::remove_if(bulk_copies.begin(), bulk_copies.end(), [](const Copy& copy) { return copy.done; }),
                      bulk_copies.end());
    return any;
}

}  // namespace emulator
