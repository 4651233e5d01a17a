// wgmma: products of a warpgroup, each warp's 16 rows for themselves, done at any time between their issue and the wait for them.
// Until then the accumulators hold what says nothing, and operands in shared memory are read only then.
#pragma once

#include "machine.h"

namespace emulator {

enum class Operand : unsigned { BF16, E4M3 };

// What one thread issues: sums [width / 2] += or = A·B, K = 32 bytes of it.
struct Product {
    Operand operand;
    unsigned width;
    bool a_mn_major, b_mn_major, add;
    uint64_t a, b;              // descriptors
    const uint32_t* registers;  // of A, 4 words, or null
};

void issue_product(float* sums, const Product& product);
void products_fence();
void commit_products();
void wait_products(unsigned pending);

void progress_products(std::vector<Block>& blocks);
void check_products(const Block& block);  // when it has ended

}  // namespace emulator
