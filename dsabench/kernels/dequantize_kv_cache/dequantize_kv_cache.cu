// Tokens of the 656-byte cache, gathered by slot, to bf16 rows, a warp a row, in one launch.
//
// Contract: dequantize_kv_cache/contract.py. cache uint8 [capacity, TOKEN_BYTES], 16-byte aligned; slots [rows]; out bf16 [rows,
// LATENT + ROPE]. A row whose slot is none is zeros. A latent dim is code · scale in float32, rounded to bf16, nearest even.
// Layout of a token: LATENT codes, at SCALE_OFFSET float32 scales of groups of GROUP, at ROPE_OFFSET the rope dims.
//
// 1. A warp takes ROWS_A_WARP rows and asks for all their bytes before it works on any: VALUES codes a lane and load.
// 2. Codes to float16 and float32, which is exact, times the scale of their group, two at a time to bf16.
// 3. A lane stores 16 bytes at a time; the first lanes copy the rope dims.
#include "../cache_rows/row_slots.cuh"
#include "fp8.cuh"

constexpr int PIECES = LATENT / (32 * VALUES);  // of a row's latent, VALUES codes of each lane
constexpr int WORDS = VALUES / 4;               // of 4 codes
constexpr int VECTORS = VALUES / 8;             // of 8 bf16
constexpr int ROW_VECTORS = (LATENT + ROPE) / 8;
constexpr int ROPE_LANES = ROPE / 8;
static_assert(VALUES == 8 || VALUES == 16, "a lane reads 8 or 16 codes at once");
static_assert(LATENT % (32 * VALUES) == 0 && GROUP % VALUES == 0 && ROPE % 8 == 0 && ROPE_LANES <= 32, "a warp a row");
static_assert(TOKEN_BYTES % 16 == 0 && ROPE_OFFSET % 16 == 0, "tokens and rope dims are read 16 bytes at a time");

struct Row {
    uint32_t codes[PIECES][WORDS];
    float scale[PIECES];
    uint4 rope;
};

__device__ __forceinline__ void load_codes(uint32_t (&codes)[WORDS], const uint8_t* place) {
    if constexpr (VALUES == 16) {
        uint4 four = __ldg((const uint4*)place);
        codes[0] = four.x, codes[1] = four.y, codes[2] = four.z, codes[3] = four.w;
    } else {
        uint2 two = __ldg((const uint2*)place);
        codes[0] = two.x, codes[1] = two.y;
    }
}

__device__ __forceinline__ uint32_t scaled_pair(uint16_t codes, float scale) {
    float2 values = e4m3x2_to_floats(codes);
    return pack_bf16x2(values.x * scale, values.y * scale);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AN_SM)
    dequantize_rows(const uint8_t* cache, const slot_t* slots, uint4* out, int rows, int64_t capacity) {
    const int lane = lane_number();
    const int first = warp_number() * ROWS_A_WARP;

    Row loaded[ROWS_A_WARP];
#pragma unroll
    for (int r = 0; r < ROWS_A_WARP; ++r) {
        Row& row = loaded[r];
        row = Row{};
        const int64_t slot = slot_of(slots, first + r, rows, capacity);
        if (slot < 0) continue;
        const uint8_t* token = cache + slot * TOKEN_BYTES;
#pragma unroll
        for (int piece = 0; piece < PIECES; ++piece) {
            const int value = (piece * 32 + lane) * VALUES;
            load_codes(row.codes[piece], token + value);
            row.scale[piece] = __ldg((const float*)(token + SCALE_OFFSET) + value / GROUP);
        }
        if (lane < ROPE_LANES) row.rope = __ldg((const uint4*)(token + ROPE_OFFSET) + lane);
    }

#pragma unroll
    for (int r = 0; r < ROWS_A_WARP; ++r) {
        if (first + r >= rows) return;
        const Row& row = loaded[r];
        uint4* target = out + (int64_t)(first + r) * ROW_VECTORS;
#pragma unroll
        for (int piece = 0; piece < PIECES; ++piece)
#pragma unroll
            for (int i = 0; i < VECTORS; ++i) {
                const uint32_t low = row.codes[piece][2 * i], high = row.codes[piece][2 * i + 1];
                const float scale = row.scale[piece];
                target[(piece * 32 + lane) * VECTORS + i] =
                    uint4{scaled_pair((uint16_t)low, scale), scaled_pair((uint16_t)(low >> 16), scale),
                          scaled_pair((uint16_t)high, scale), scaled_pair((uint16_t)(high >> 16), scale)};
            }
        if (lane < ROPE_LANES) target[LATENT / 8 + lane] = row.rope;
    }
}
