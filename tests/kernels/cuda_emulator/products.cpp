#include "products.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "numbers.h"

namespace emulator {

constexpr unsigned ROWS = 16;            // of a warp
constexpr unsigned UNIT = 16;            // bytes; what swizzles move
constexpr unsigned WIDEST = 256;
constexpr unsigned DEPTH = 32;           // the largest K
constexpr uint32_t POISON = 0x7fa5a5a5;  // a signalling NaN: arithmetic makes it a quiet one

// Accumulators with products under way: the warp's part of D.
struct Flight {
    float* sums[32] = {};
    unsigned width;
    int under_way = 0;  // products that no thread has waited for
    float d[ROWS][WIDEST];
};

struct Issued {
    Product product;
    std::shared_ptr<Flight> flight;
    uint32_t a[32][4];
    unsigned lanes = 0, group = 0;
    bool done = false;
    Clock clock;                              // of the lanes, at the issue; where races are watched for
    std::vector<const unsigned char*> units;  // that were read
};

struct WarpProducts {
    std::vector<Issued> issued;  // and not yet waited for
    unsigned first = 0;          // the number of issued[0]
    unsigned done = 0;           // of issued
};

// The order of the operands' 16-byte units in shared memory, after the PTX ISA's canonical layouts (wgmma, "Shared Memory Matrix
// Layout"): W units are a row of the swizzle, 8 rows an atom.
struct Layout {
    Block& block;
    uint32_t start, leading, stride;  // bytes
    unsigned swizzle;                 // W: 1 (none), 2, 4 or 8
    bool mn_major;

    Layout(Block& block, uint64_t descriptor, bool mn_major) : block(block), mn_major(mn_major) {
        constexpr unsigned WIDTHS[] = {1, 8, 4, 2};
        start = (descriptor & 0x3fff) << 4;
        leading = (descriptor >> 16 & 0x3fff) << 4;
        stride = (descriptor >> 32 & 0x3fff) << 4;
        swizzle = WIDTHS[descriptor >> 62];
        if (descriptor >> 49 & 7) fail("wgmma: a base offset in a descriptor is not emulated");
        constexpr uint64_t UNUSED = 0x3ff1c000c000c000;
        if (descriptor & UNUSED) fail("wgmma: no valid descriptor");
    }

    // K-major: of row `outer` of m or n, unit `inner` (0, 1) of k. MN-major: of row `outer` of k, unit `inner` of m or n.
    const unsigned char* unit(unsigned outer, unsigned inner) const {
        uint32_t address = start + outer % 8 * swizzle * UNIT;
        if (!mn_major)
            address += outer / 8 * stride + inner * (swizzle == 1 ? leading : UNIT);
        else if (swizzle == 1)
            address += outer / 8 * leading + inner * stride;
        else
            address += outer / 8 * stride + inner / swizzle * leading + inner % swizzle * UNIT;
        // Bits 4 and up are xor'ed with the number of the 128-byte line, of which a swizzle of W units repeats after W: address bits.
        return pointer_in(block, address ^ (address >> 7 & (swizzle - 1)) * UNIT, UNIT);
    }
};

static void load_unit(float* to, size_t step, const unsigned char* unit, Operand operand) {
    static float table[256];
    if (table[1] == 0)
        for (unsigned i = 0; i < 256; ++i) table[i] = e4m3_to_float(i);
    if (operand == Operand::E4M3) {
        for (unsigned i = 0; i < UNIT; ++i) to[i * step] = table[unit[i]];
    } else {
        uint16_t halves[8];
        memcpy(halves, unit, UNIT);
        for (unsigned i = 0; i < 8; ++i) to[i * step] = bf16_to_float(halves[i]);
    }
}

// matrix [outer, K]: to[outer * outer_step + k * k_step] of `count` rows from `first` on.
static void load(Issued& issued, Block& block, float* to, size_t outer_step, size_t k_step, uint64_t descriptor, bool mn_major,
                 unsigned first, unsigned count, Operand operand) {
    Layout layout(block, descriptor, mn_major);
    auto unit = [&](unsigned outer, unsigned inner) {
        const unsigned char* found = layout.unit(outer, inner);
        if (watching) {
            watch_async_read(issued.clock, found, UNIT);
            issued.units.push_back(found);
        }
        return found;
    };
    unsigned items = operand == Operand::E4M3 ? 16 : 8;  // of a unit
    if (!mn_major) {
        for (unsigned i = 0; i < count; ++i)
            for (unsigned u = 0; u < 2; ++u)
                load_unit(to + i * outer_step + u * items * k_step, k_step, unit(first + i, u), operand);
    } else {
        for (unsigned k = 0; k < 2 * items; ++k)
            for (unsigned i = 0; i < count; i += items)
                load_unit(to + i * outer_step + k * k_step, outer_step, unit(k, (first + i) / items), operand);
    }
}

static unsigned row_of(unsigned lane, unsigned word) { return word % 2 * 8 + lane / 4; }
static unsigned column_of(unsigned lane, unsigned word) { return word / 2 * 8 + lane % 4 * 2; }

static void compute(Issued& issued, Block& block, unsigned warp) {
    const Product& p = issued.product;
    static float a[ROWS][DEPTH], b[DEPTH][WIDEST];
    unsigned depth = p.operand == Operand::E4M3 ? 32 : 16;
    if (p.registers) {
        unsigned items = depth / 8;  // of a word
        for (unsigned lane = 0; lane < 32; ++lane)
            for (unsigned word = 0; word < 4; ++word)
                for (unsigned e = 0; e < items; ++e) {
                    float* to = &a[row_of(lane, word)][word / 2 * 4 * items + lane % 4 * items + e];
                    uint32_t bits = issued.a[lane][word] >> 32 / items * e;
                    *to = p.operand == Operand::E4M3 ? e4m3_to_float(bits) : bf16_to_float(bits);
                }
    } else {
        load(issued, block, &a[0][0], DEPTH, 1, p.a, p.a_mn_major, warp % 4 * ROWS, ROWS, p.operand);
    }
    load(issued, block, &b[0][0], 1, WIDEST, p.b, p.b_mn_major, 0, p.width, p.operand);
    for (unsigned m = 0; m < ROWS; ++m) {
        float* d = issued.flight->d[m];
        if (!p.add) std::fill(d, d + p.width, 0.0f);
        for (unsigned k = 0; k < depth; ++k)
            for (unsigned n = 0; n < p.width; ++n) d[n] += a[m][k] * b[k][n];
    }
    issued.done = true;
}

// The next `count` that all lanes have issued.
static void compute_next(WarpProducts& products, Block& block, unsigned warp, unsigned count) {
    for (; count && products.done < products.issued.size() && products.issued[products.done].lanes == 32; --count)
        compute(products.issued[products.done++], block, warp);
}

static WarpProducts& products_of(Warp& warp) {
    if (!warp.products) warp.products = std::make_shared<WarpProducts>();
    return *warp.products;
}

// Whose accumulators these are, if products on them are under way.
static std::shared_ptr<Flight> flight_of(const WarpProducts& products, unsigned lane, float* sums, unsigned width) {
    for (const Issued& issued : products.issued) {
        float* others = issued.flight->sums[lane];
        if (!others || sums + width / 2 <= others || others + issued.flight->width / 2 <= sums) continue;
        if (others != sums || issued.flight->width != width) fail("wgmma: accumulators overlap those of a product under way");
        return issued.flight;
    }
    return nullptr;
}

// Products are the same in all warps of a warpgroup.
static void compare(const Product& p) {
    std::vector<Signature>& before = current->block->products[current->number / 128];
    unsigned what = (unsigned)p.operand | p.width << 1 | p.a_mn_major << 10 | p.b_mn_major << 11 | p.add << 12 | !p.registers << 13;
    Signature mine{p.registers ? 0 : p.a, p.b, what};
    if (current->products == before.size()) before.push_back(mine);
    const Signature& first = before[current->products];
    if (first.a != mine.a || first.b != mine.b || first.what != mine.what)
        fail("wgmma: threads of a warpgroup issue different products");
}

void products_fence() { current->fenced = true; }

void issue_product(float* sums, const Product& product) {
    if (!current->fenced) fail("wgmma without a wgmma.fence since the last wait");
    if (product.operand == Operand::E4M3 && (product.a_mn_major || product.b_mn_major)) fail("wgmma: fp8 operands are K-major");
    if (product.width % 8 || product.width > WIDEST || !product.width) fail("wgmma: no such width");
    compare(product);
    WarpProducts& products = products_of(current->warp());
    unsigned index = current->products++ - products.first, lane = current->lane();
    std::shared_ptr<Flight> under_way = flight_of(products, lane, sums, product.width);
    if (index == products.issued.size()) {
        products.issued.push_back({product, under_way ? under_way : std::make_shared<Flight>(), {}, 0, 0, false, {}, {}});
        products.issued.back().flight->width = product.width;
    }
    Issued& issued = products.issued[index];
    issued.group = current->product_group;
    if (product.registers) memcpy(issued.a[lane], product.registers, sizeof issued.a[lane]);
    Flight& flight = *issued.flight;
    if (under_way ? under_way != issued.flight : flight.sums[lane] != nullptr)
        fail("wgmma: lanes disagree on which accumulators are under way");
    if (!under_way) {
        flight.sums[lane] = sums;
        for (unsigned i = 0; i < product.width / 2; i += 2)
            for (unsigned e = 0; e < 2; ++e) {
                flight.d[row_of(lane, i / 2)][column_of(lane, i / 2) + e] = sums[i + e];
                memcpy(sums + i + e, &POISON, 4);
            }
    }
    if (watching) issued.clock.join(current->clock);
    if (lane == 0) ++flight.under_way;
    if (++issued.lanes == 32 && eagerness == Eagerness::AT_ONCE) compute_next(products, *current->block, current->number / 32, ~0u);
}

void commit_products() { ++current->product_group; }

void wait_products(unsigned pending) {
    current->fenced = false;
    exchange("wgmma.wait_group", 0xffffffffu, pending);
    if (current->lane() == 0) {
        WarpProducts& products = products_of(current->warp());
        // Others take their turns before: what they write too early is what is multiplied.
        for (unsigned turns = one_in(2) ? chance() % 6 : 0; turns && !products.issued.empty(); --turns) pause();
        unsigned count = 0;
        while (count < products.issued.size() && products.issued[count].group + pending < current->product_group) ++count;
        if (count > products.done) compute_next(products, *current->block, current->number / 32, count - products.done);
        for (unsigned i = 0; i < count; ++i) {
            for (const unsigned char* unit : products.issued[i].units) {
                watch_async_read(products.issued[i].clock, unit, UNIT);  // again: it may have been written since
                watch_async_read_done(*current, unit, UNIT);
            }
            Flight& flight = *products.issued[i].flight;
            if (--flight.under_way) continue;
            for (unsigned lane = 0; lane < 32; ++lane)
                for (unsigned s = 0; s < flight.width / 2; ++s) {
                    if (memcmp(flight.sums[lane] + s, &POISON, 4))
                        fail("wgmma: accumulators are written while products are under way");
                    flight.sums[lane][s] = flight.d[row_of(lane, s / 2)][column_of(lane, s / 2) + s % 2];
                }
        }
        products.issued.erase(products.issued.begin(), products.issued.begin() + count);
        products.first += count;
        products.done -= count;
    }
    exchange("wgmma.wait_group", 0xffffffffu, pending);
}

void progress_products(std::vector<Block>& blocks) {
    for (Block& block : blocks)
        for (size_t w = 0; w < block.warps.size(); ++w)
            if (block.warps[w].products && one_in(2)) compute_next(*block.warps[w].products, block, w, 1 + chance() % 4);
}

void check_products(const Block& block) {
    for (const Warp& warp : block.warps)
        if (warp.products && !warp.products->issued.empty()) fail("wgmma: products are under way when the kernel ends");
}

}  // namespace emulator
