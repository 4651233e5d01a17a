// Random numbers that a seed fixes, without <random>, which takes longer to compile than the rest.
#pragma once

#include <cstdint>

namespace emulator {

struct Chance {  // xorshift64*: S. Vigna, ACM TOMS 42 (2016)
    using result_type = uint32_t;
    uint64_t state = 1;

    static constexpr uint32_t min() { return 0; }
    static constexpr uint32_t max() { return 0xffffffffu; }
    void seed(uint32_t seed) {
        state = (seed + 1) * 0x9e3779b97f4a7c15;
        for (int i = 0; i < 8; ++i) (*this)();
    }
    uint32_t operator()() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return state * 0x2545f4914f6cdd1d >> 32;
    }
};

}  // namespace emulator
