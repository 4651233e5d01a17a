// bf16 latent and rope rows into slots of the 656-byte cache, a warp a row, in one launch.
//
// Contract: quantize_kv_cache/contract.py. kv bf16 [rows, LATENT + ROPE], 16-byte aligned; slots [rows]; cache uint8 [capacity,
// TOKEN_BYTES], 16-byte aligned. Rows whose slot is none are skipped; nothing else of the cache is touched.
// Layout of a token: LATENT codes, at SCALE_OFFSET float32 scales of groups of GROUP, at ROPE_OFFSET the rope dims.
//
// 1. A warp takes ROWS_A_WARP rows and asks for all their bytes before it works on any: 16 bytes a lane and load.
// 2. A lane holds VALUES neighbouring numbers of a group; amax by shuffles among its GROUP / VALUES lanes.
// 3. Scale, quotients and codes (quantized_group.cuh); a lane stores VALUES codes at once, one lane of a group its scale.
// 4. The first lanes copy the rope dims, 16 bytes each.
#include "../cache_rows/quantized_group.cuh"
#include "../cache_rows/row_slots.cuh"

constexpr int PIECES = LATENT / (32 * VALUES);  // of a row's latent, VALUES numbers of each lane
constexpr int ROW_VECTORS = (LATENT + ROPE) / 8;
constexpr int ROPE_LANES = ROPE / 8;
static_assert(LATENT % (32 * VALUES) == 0 && ROPE % 8 == 0 && ROPE_LANES <= 32, "a warp a row, a vector a rope lane");
static_assert(TOKEN_BYTES % 16 == 0 && ROPE_OFFSET % 16 == 0, "tokens and rope dims are written 16 bytes at a time");

struct Row {
    int64_t slot;
    uint4 latent[PIECES][VECTORS];
    uint4 rope;
};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AN_SM)
    quantize_rows(const uint4* kv, const slot_t* slots, uint8_t* cache, int rows, int64_t capacity) {
    const int lane = lane_number();
    const int first = warp_number() * ROWS_A_WARP;

    Row loaded[ROWS_A_WARP];
#pragma unroll
    for (int r = 0; r < ROWS_A_WARP; ++r) {
        Row& row = loaded[r];
        row = Row{};
        row.slot = slot_of(slots, first + r, rows, capacity);
        if (row.slot < 0) continue;
        const uint4* source = kv + (int64_t)(first + r) * ROW_VECTORS;
#pragma unroll
        for (int piece = 0; piece < PIECES; ++piece)
#pragma unroll
            for (int i = 0; i < VECTORS; ++i) row.latent[piece][i] = __ldg(source + (piece * 32 + lane) * VECTORS + i);
        if (lane < ROPE_LANES) row.rope = __ldg(source + LATENT / 8 + lane);
    }

#pragma unroll
    for (int r = 0; r < ROWS_A_WARP; ++r) {
        const Row& row = loaded[r];
        uint8_t* token = cache + row.slot * TOKEN_BYTES;
#pragma unroll
        for (int piece = 0; piece < PIECES; ++piece) {
            const int place = piece * 32 + lane;
            // Of a skipped row too: the compiler cannot know that its lanes agree and guards each shuffle: 610 instructions, not 408.
            float scale = group_scale(row.latent[piece]);
            if (row.slot < 0) continue;
            quantized(row.latent[piece], scale).store(token + place * VALUES);
            if (place % GROUP_LANES == 0) *(float*)(token + SCALE_OFFSET + place / GROUP_LANES * 4) = scale;
        }
        if (row.slot >= 0 && lane < ROPE_LANES) *(uint4*)(token + ROPE_OFFSET + lane * 16) = row.rope;
    }
}
