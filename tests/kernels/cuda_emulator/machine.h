// Blocks, warps and threads of the emulated GPU. Every thread is a fiber, which runs until it waits for others.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>
#include <ucontext.h>

#include "chance.h"
#include "dim3.h"
#include "races.h"

namespace emulator {

// Threads that wait for each other; `passed` counts the times all have come.
struct Barrier {
    unsigned expected = 0, arrived = 0, passed = 0;
    Meeting meeting;
};

// One of a block's 16 barriers by number; `expected` is what its first thread says.
struct NamedBarrier : Barrier {};

// Stands for the 8 bytes of shared memory at its address; `passed` counts its phases.
struct Mbarrier {
    unsigned expected = 0, missing = 0, passed = 0;
    int64_t bytes = 0;  // expected and not come; less than 0 where they came before they were expected
    uint32_t id = 0;    // of its clock
    Meeting meeting;
};

struct Block;
struct Fiber;

// Where a copy of a thread writes, until the thread or a barrier has waited for it.
struct Landing {
    const unsigned char* to;
    uint32_t bytes;
    unsigned group;
};

// A copy under way, or an arrival that waits for the copies before it.
struct Copy {
    unsigned char* to;    // null: the arrival
    const void* from;     // null: from `value`
    uint32_t bytes, taken;  // taken < bytes: the rest is zeros
    unsigned group;
    Block* of;            // whose shared memory and barrier these are
    Mbarrier* barrier;    // counts the bytes, or is arrived at; or null
    unsigned char value[16];
    bool done;
    Proxy proxy = Proxy::GENERIC;
    std::vector<Landing> landings = {};  // of the copies before an arrival
};

struct WarpProducts;
struct Signature {
    uint64_t a, b;
    unsigned what;
};

struct Warp {
    Barrier barrier;
    uint64_t values[2][32];  // of two exchanges in turn: one may be read while the next is written
    const char* names[2][32];
    std::vector<int> registers;  // what it asked of setmaxnreg, in turn
    std::shared_ptr<WarpProducts> products;
};

struct Block {
    dim3 index;
    unsigned rank;
    unsigned char* shared;
    size_t shared_bytes;
    unsigned running;  // threads that have not ended
    Barrier barrier;
    NamedBarrier named[16];
    Barrier* cluster;
    std::vector<Block>* blocks;  // of the cluster
    std::vector<Warp> warps;
    std::vector<std::vector<Signature>> products;  // of each warpgroup, in turn
    std::unordered_map<uint32_t, Mbarrier> mbarriers;
};

struct Fiber {
    Block* block;
    dim3 thread;
    unsigned number;
    unsigned exchanges = 0;
    const unsigned* waits = nullptr;  // until *waits & mask is another than `value`
    unsigned mask = 0, value = 0;
    unsigned cluster_phase = 0;
    uint32_t id = 0;  // in the cluster
    Clock clock;
    std::vector<Copy> copies;
    std::vector<Landing> landings;  // only where races are watched for
    unsigned group = 0;  // of copies, still open
    unsigned products = 0, product_group = 0;
    bool fenced = false;
    bool started = false, done = false;
    jmp_buf state;
    ucontext_t first;
    void* stack;

    Warp& warp() { return block->warps[number / 32]; }
    unsigned lane() const { return number % 32; }
};

// When asynchronous work is done, drawn from the seed: at once, now and then, or when something must wait for it.
enum class Eagerness { AT_ONCE, OFTEN, SELDOM, LAST };

extern Fiber* current;
extern Chance chance;
extern Eagerness eagerness;
extern std::string fault;
extern std::vector<Copy> bulk_copies;  // of the cluster that runs

bool one_in(unsigned n);
void fail(const std::string& what);  // the first stays; a thread that fails goes no further
void pause();
void maybe_pause();
void wait(Barrier& barrier);
void wait_while(const unsigned* counter, unsigned mask, unsigned value);

// The values of all lanes of this warp, valid until the next exchange but one.
const uint64_t* exchange(const char* name, uint32_t mask, uint64_t value);

// Shared memory as PTX addresses it: 32 bits, this block's from SHARED_BASE on; in the cluster, with rank + 1 in the highest byte.
constexpr uint32_t SHARED_BASE = 1024;
uint32_t shared_address(const void* pointer);
uint32_t map_shared(const void* pointer, uint32_t rank);
Block& block_at(uint32_t address);
unsigned char* pointer_in(Block& block, uint32_t address, size_t bytes);  // whatever the rank in `address`
unsigned char* pointer_at(uint32_t address, size_t bytes);

void named_barrier(uint32_t id, unsigned threads, bool waits);
void cluster_arrive();
void cluster_wait();
void set_registers(int registers, bool raise);

// Runs a kernel for every thread of a grid, in an order of turns drawn from the seed. Returns "" or what went wrong.
std::string run(void (*kernel)(), dim3 grid, dim3 block, unsigned cluster, size_t shared_bytes, unsigned seed);

}  // namespace emulator
