#include "machine.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <sys/mman.h>

#include "asynchronous.h"
#include "products.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

constexpr size_t STACK = 256 * 1024;
constexpr size_t GUARD = 1024;  // bytes behind shared memory
constexpr unsigned char GARBAGE = 0xa5;
constexpr unsigned REGISTER_FILE = 65536;

Fiber* current;
Chance chance;
Eagerness eagerness;
std::string fault;
std::vector<Copy> bulk_copies;

static jmp_buf scheduler;
static bool in_fiber;
static void (*body)();

bool one_in(unsigned n) { return chance() % n == 0; }

void fail(const std::string& what) {
    if (fault.empty())
        fault = what + " (block " + std::to_string(current->block->index.x) + ", thread " + std::to_string(current->number) + ")";
    if (in_fiber) pause();  // for ever
}

void pause() {
    if (!_setjmp(current->state)) _longjmp(scheduler, 1);
    threadIdx = current->thread;
    blockIdx = current->block->index;
}

void maybe_pause() {
    if (one_in(32)) pause();
}

void wait_while(const unsigned* counter, unsigned mask, unsigned value) {
    current->waits = counter;
    current->mask = mask;
    current->value = value;
    pause();
}

static bool arrive(Barrier& barrier) {
    bring(barrier.meeting);
    if (++barrier.arrived < barrier.expected) return false;
    barrier.arrived = 0;
    ++barrier.passed;
    barrier.meeting.end();
    return true;
}

void wait(Barrier& barrier) {
    if (!arrive(barrier)) wait_while(&barrier.passed, ~0u, barrier.passed);
    take(barrier.meeting);
}

const uint64_t* exchange(const char* name, uint32_t mask, uint64_t value) {
    Warp& warp = current->warp();
    unsigned turn = current->exchanges++ & 1, lane = current->lane();
    if (mask != 0xffffffffu) fail(std::string(name) + ": only full masks are emulated");
    warp.values[turn][lane] = value;
    warp.names[turn][lane] = name;
    wait(warp.barrier);
    if (strcmp(warp.names[turn][0], name)) fail(std::string(name) + " and " + warp.names[turn][0] + " meet in a warp");
    return warp.values[turn];
}

uint32_t shared_address(const void* pointer) {
    size_t offset = (const unsigned char*)pointer - current->block->shared;
    if (offset >= current->block->shared_bytes) fail("an address of shared memory is outside the block's");
    return SHARED_BASE + (uint32_t)offset;
}

uint32_t map_shared(const void* pointer, uint32_t rank) {
    if (rank >= current->block->blocks->size()) fail("there is no such rank in the cluster");
    return shared_address(pointer) | (rank + 1) << 24;
}

Block& block_at(uint32_t address) {
    uint32_t rank = address >> 24;
    return rank && rank <= current->block->blocks->size() ? (*current->block->blocks)[rank - 1] : *current->block;
}

unsigned char* pointer_in(Block& block, uint32_t address, size_t bytes) {
    size_t offset = (size_t)(address & 0xffffff) - SHARED_BASE;
    if (offset > block.shared_bytes || offset + bytes > block.shared_bytes) {
        fail("an asynchronous access of shared memory is outside the block's");
        return block.shared;
    }
    if (!block.running) fail("the shared memory of a block that has ended is used");
    return block.shared + offset;
}

unsigned char* pointer_at(uint32_t address, size_t bytes) { return pointer_in(block_at(address), address, bytes); }

void named_barrier(uint32_t id, unsigned threads, bool waits) {
    if (id < 1 || id > 15) fail("named barriers are 1 to 15");
    NamedBarrier& barrier = current->block->named[id];
    if (!barrier.arrived) barrier.expected = threads;
    if (barrier.expected != threads) fail("a named barrier is told different numbers of threads");
    unsigned phase = barrier.passed;
    if (!arrive(barrier) && waits) wait_while(&barrier.passed, ~0u, phase);
    if (waits) take(barrier.meeting);
}

void cluster_arrive() {
    Barrier& barrier = *current->block->cluster;
    current->cluster_phase = barrier.passed;
    arrive(barrier);
}

void cluster_wait() {
    Barrier& barrier = *current->block->cluster;
    if (barrier.passed == current->cluster_phase) wait_while(&barrier.passed, ~0u, current->cluster_phase);
    take(barrier.meeting);
}

void set_registers(int registers, bool raise) {
    exchange("setmaxnreg", 0xffffffffu, registers);
    if (current->lane() != 0) return;
    std::vector<int>& asked = current->warp().registers;
    // What a kernel compiled for one block an SM starts with, as ptxas gives it.
    int share = std::min<unsigned>(REGISTER_FILE / (32 * current->block->warps.size()) / 8 * 8, 256);
    int before = asked.empty() ? share : asked.back();
    if (raise ? registers < before : registers > before)
        fail("setmaxnreg raises to " + std::to_string(registers) + " from " + std::to_string(before) + ", or lowers to more");
    asked.push_back(registers);
}

static void check_registers(const Block& block) {
    unsigned total = 0;
    for (size_t w = 0; w < block.warps.size(); ++w) {
        const std::vector<int>&asked = block.warps[w].registers, &first = block.warps[w / 4 * 4].registers;
        if (asked != first) fail("setmaxnreg is not the same in all warps of a warpgroup");
        if (!asked.empty()) total += 32 * asked.back();
    }
    if (total > REGISTER_FILE) fail("setmaxnreg: the warps end with more registers than there are");
}

static void start() {
    threadIdx = current->thread;
    blockIdx = current->block->index;
    body();
    current->done = true;
    --current->block->running;
    _longjmp(scheduler, 1);
}

static void resume(Fiber& fiber) {
    current = &fiber;
    in_fiber = true;
    if (_setjmp(scheduler)) {
        in_fiber = false;
        return;
    }
    if (fiber.started) _longjmp(fiber.state, 1);
    fiber.started = true;
    getcontext(&fiber.first);
    fiber.first.uc_stack.ss_sp = fiber.stack;
    fiber.first.uc_stack.ss_size = STACK;
    fiber.first.uc_link = nullptr;
    makecontext(&fiber.first, start, 0);
    setcontext(&fiber.first);
}

static void run_cluster(std::vector<Block>& blocks, std::vector<Fiber>& fibers) {
    std::vector<Fiber*> order;
    for (Fiber& fiber : fibers) order.push_back(&fiber);
    bulk_copies.clear();
    while (!order.empty() && fault.empty()) {
        switch (chance() % 3) {  // ascending, descending or at random
            case 0: std::sort(order.begin(), order.end()); break;
            case 1: std::sort(order.rbegin(), order.rend()); break;
            default: std::shuffle(order.begin(), order.end(), chance);
        }
        bool moved = false, ended = false;
        for (Fiber* fiber : order) {
            if (fiber->waits && (*fiber->waits & fiber->mask) == fiber->value) continue;
            fiber->waits = nullptr;
            moved = true;
            resume(*fiber);
            ended |= fiber->done;
            if (!fault.empty()) return;
        }
        if (ended) order.erase(std::remove_if(order.begin(), order.end(), [](Fiber* f) { return f->done; }), order.end());
        bool progress = eagerness == Eagerness::OFTEN ? one_in(2) : eagerness == Eagerness::SELDOM ? one_in(32) : false;
        if (order.empty() || (moved && !progress)) continue;
        if (!progress_copies(fibers) && !moved) fault = "deadlock: threads wait at a barrier that others have not reached";
        if (moved) progress_products(blocks);
    }
    if (!fault.empty()) return;
    if (!bulk_copies.empty()) fail("bulk copies or remote stores are under way when the kernel ends");
    for (Block& block : blocks) {
        check_registers(block);
        check_products(block);
    }
}

std::string run(void (*kernel)(), dim3 grid, dim3 block, unsigned cluster, size_t shared_bytes, unsigned seed) {
    body = kernel;
    chance.seed(seed);
    fault.clear();
    gridDim = grid;
    blockDim = block;
    unsigned threads = block.x * block.y * block.z, total = grid.x * grid.y * grid.z;
    if (threads % 32 || grid.x % cluster) return "a block is whole warps, a grid whole clusters";
    size_t stacks = (size_t)threads * cluster * STACK;
    char* stack = (char*)mmap(nullptr, stacks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == (char*)MAP_FAILED) return "no memory for stacks";
    size_t room = (shared_bytes + GUARD + 1023) / 1024 * 1024;
    unsigned char* shared = (unsigned char*)aligned_alloc(1024, room * cluster);
    for (unsigned first = 0; first < total && fault.empty(); first += cluster) {
        eagerness = (Eagerness)(chance() % 4);
        std::vector<Block> blocks(cluster);
        std::vector<Fiber> fibers(threads * cluster);
        Barrier all;
        all.expected = threads * cluster;
        memset(shared, GARBAGE, room * cluster);
        for (unsigned rank = 0; rank < cluster; ++rank) {
            unsigned number = first + rank;
            Block& b = blocks[rank];
            b.index = {number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y};
            b.rank = rank;
            b.shared = shared + rank * room;
            b.shared_bytes = shared_bytes;
            b.running = threads;
            b.barrier.expected = threads;
            b.cluster = &all;
            b.blocks = &blocks;
            b.warps.resize(threads / 32);
            b.products.resize((threads + 127) / 128);
            for (Warp& warp : b.warps) warp.barrier.expected = 32;
            for (unsigned t = 0; t < threads; ++t) {
                Fiber& fiber = fibers[rank * threads + t];
                fiber.block = &b;
                fiber.thread = {t % block.x, t / block.x % block.y, t / block.x / block.y};
                fiber.number = t;
                fiber.stack = stack + (size_t)(rank * threads + t) * STACK;
            }
        }
        current = &fibers[0];
        watch_cluster(blocks, fibers, shared, room);
        run_cluster(blocks, fibers);
        for (unsigned rank = 0; rank < cluster && fault.empty(); ++rank)
            for (size_t i = 0; i < GUARD; ++i)
                if (blocks[rank].shared[shared_bytes + i] != GARBAGE) fault = "shared memory is written past its end";
    }
    free(shared);
    munmap(stack, stacks);
    return fault;
}

}  // namespace emulator
