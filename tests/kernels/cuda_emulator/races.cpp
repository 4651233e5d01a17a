#include "races.h"

#include <algorithm>

#include "machine.h"

namespace emulator {

constexpr uint32_t NOBODY = ~0u, UNDER_WAY = ~0u - 1;
constexpr size_t MOST_MBARRIERS = 128;  // of a cluster
constexpr size_t MOST_THREADS = 4096;   // of a cluster: 140 MB of clocks

struct Access {
    uint32_t writer = NOBODY, written = 0;
    uint32_t reader = NOBODY, read = 0;
    Proxy proxy = Proxy::GENERIC;  // of the write
};

bool watching;
static std::vector<Access> accesses;  // of every byte of the cluster's shared memory
static unsigned char *first_byte, *last_byte;
static uint32_t threads, mbarriers;

void Clock::join(const Clock& other) {
    if (other.seen.empty()) return;
    if (seen.empty()) {
        *this = other;
        return;
    }
    for (size_t i = 0; i < seen.size(); ++i) seen[i] = std::max(seen[i], other.seen[i]);
    for (size_t i = 0; i < fenced.size(); ++i) fenced[i] = std::max(fenced[i], other.fenced[i]);
}

void Meeting::end() {
    released.join(gathered);
    gathered = {};
}

void watch_cluster(std::vector<Block>& blocks, std::vector<Fiber>& fibers, unsigned char* shared, size_t room) {
    if (!watching) return;
    if (fibers.size() > MOST_THREADS) return fail("races are watched for in clusters of up to 4096 threads");
    threads = fibers.size();
    mbarriers = 0;
    first_byte = shared;
    last_byte = shared + room * blocks.size();
    accesses.assign(last_byte - first_byte, {});
    for (uint32_t i = 0; i < threads; ++i) {
        Fiber& fiber = fibers[i];
        fiber.id = i;
        fiber.clock.seen.assign(threads + MOST_MBARRIERS, 0);
        fiber.clock.fenced.assign(threads + MOST_MBARRIERS, 0);
        fiber.clock.seen[i] = 1;
    }
}

void bring(Meeting& meeting) {
    if (!watching) return;
    meeting.gathered.join(current->clock);
    ++current->clock.seen[current->id];
}

void take(const Meeting& meeting) {
    if (watching) current->clock.join(meeting.released);
}

void watch_fence() {
    if (!watching) return;
    Clock& clock = current->clock;
    for (size_t i = 0; i < clock.seen.size(); ++i) clock.fenced[i] = std::max(clock.fenced[i], clock.seen[i]);
    // What this thread writes from here on is not fenced.
    ++clock.seen[current->id];
}

void watch_mbarrier(Mbarrier& barrier) {
    if (!watching) return;
    if (mbarriers == MOST_MBARRIERS) fail("more mbarriers than the watch on races has room for");
    barrier.id = threads + mbarriers++;
}

void end_phase(Mbarrier& barrier) {
    if (!watching) return;
    Clock& released = barrier.meeting.released;
    barrier.meeting.end();
    if (released.seen.empty()) {
        released.seen.assign(threads + MOST_MBARRIERS, 0);
        released.fenced = released.seen;
    }
    released.seen[barrier.id] = barrier.passed;
}

static Access* accesses_of(const void* address) {
    const unsigned char* byte = (const unsigned char*)address;
    return byte >= first_byte && byte < last_byte ? &accesses[byte - first_byte] : nullptr;
}

static std::string who(uint32_t id) { return id < threads ? "thread " + std::to_string(id) : "a copy"; }

static void race(const char* what, uint32_t other, const void* address) {
    fail(std::string("race: ") + what + " " + who(other) + ", at byte " + std::to_string((const unsigned char*)address - first_byte) +
         " of the cluster's shared memory");
}

static void check(const Clock& clock, const Access& access, bool write, const void* address) {
    if (access.writer == UNDER_WAY) fail("race: shared memory is used while a copy to it is not waited for, at byte " +
                                         std::to_string((const unsigned char*)address - first_byte));
    if (access.writer != NOBODY && access.written > clock.seen[access.writer])
        race(write ? "a write is not ordered after that of" : "a read is not ordered after the write of", access.writer, address);
    if (write && access.reader != NOBODY && access.read > clock.seen[access.reader])
        race("a write is not ordered after the read of", access.reader, address);
}

static void watch(const void* address, size_t bytes, bool write) {
    Access* access = watching && current ? accesses_of(address) : nullptr;
    if (!access) return;
    uint32_t me = current->id, now = current->clock.seen[me];
    for (size_t i = 0; i < bytes; ++i) {
        Access& one = access[i];
        if (write ? one.writer == me && one.written == now && one.reader == me : one.reader == me && one.read == now) continue;
        check(current->clock, one, write, (const unsigned char*)address + i);
        if (write) {
            one.writer = me;
            one.written = now;
            one.proxy = Proxy::GENERIC;
        }
        one.reader = me;
        one.read = now;
    }
}

void watch_issue(const void* to, size_t bytes) {
    Access* access = watching ? accesses_of(to) : nullptr;
    for (size_t i = 0; access && i < bytes; ++i) {
        check(current->clock, access[i], true, (const unsigned char*)to + i);
        access[i].writer = UNDER_WAY;
    }
}

static void landed(const void* to, size_t bytes, uint32_t writer, uint32_t when, Proxy proxy) {
    Access* access = accesses_of(to);
    for (size_t i = 0; access && i < bytes; ++i) access[i] = {writer, when, NOBODY, 0, proxy};
}

void watch_waited(const Fiber& fiber, const void* to, size_t bytes) {
    if (watching) landed(to, bytes, fiber.id, fiber.clock.seen[fiber.id], Proxy::GENERIC);
}

void watch_counted(const Mbarrier& barrier, const void* to, size_t bytes, Proxy proxy) {
    if (watching) landed(to, bytes, barrier.id, barrier.passed + 1, proxy);
}

void watch_async_read(const Clock& reader, const void* from, size_t bytes) {
    const Access* access = watching ? accesses_of(from) : nullptr;
    for (size_t i = 0; access && i < bytes; ++i) {
        const Access& one = access[i];
        check(reader, one, false, (const unsigned char*)from + i);
        if (one.writer != NOBODY && one.proxy == Proxy::GENERIC && one.written > reader.fenced[one.writer])
            race("no fence.proxy.async stands between an asynchronous read and the write of", one.writer,
                 (const unsigned char*)from + i);
    }
}

static void read_until(const void* from, size_t bytes, uint32_t reader, uint32_t when) {
    Access* access = watching ? accesses_of(from) : nullptr;
    for (size_t i = 0; access && i < bytes; ++i) {
        access[i].reader = reader;
        access[i].read = when;
    }
}

void watch_async_read_done(const Fiber& fiber, const void* from, size_t bytes) {
    if (watching) read_until(from, bytes, fiber.id, fiber.clock.seen[fiber.id]);
}

void watch_async_read_counted(const Mbarrier& barrier, const void* from, size_t bytes) {
    read_until(from, bytes, barrier.id, barrier.passed + 1);
}

}  // namespace emulator

// What the compiler calls before every load and store of an instrumented kernel.
extern "C" {
void __tsan_init() {}
#define HOOKS(BYTES) \
    void __tsan_read##BYTES(void* address) { emulator::watch(address, BYTES, false); } \
    void __tsan_write##BYTES(void* address) { emulator::watch(address, BYTES, true); } \
    void __tsan_unaligned_read##BYTES(void* address) { emulator::watch(address, BYTES, false); } \
    void __tsan_unaligned_write##BYTES(void* address) { emulator::watch(address, BYTES, true); }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)
void __tsan_read_range(void* address, size_t bytes) { emulator::watch(address, bytes, false); }
void __tsan_write_range(void* address, size_t bytes) { emulator::watch(address, bytes, true); }
}
