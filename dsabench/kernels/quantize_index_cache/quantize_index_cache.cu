// bf16 keys into slots of the indexer's 132-byte cache, 2 or 4 keys a warp at a time, in one launch.
//
// Contract: quantize_index_cache/contract.py. keys bf16 [rows, GROUP], 16-byte aligned; slots [rows]; cache uint8 [capacity /
// BLOCK_TOKENS, BLOCK_BYTES], 16-byte aligned. Keys whose slot is none are skipped; nothing else of the cache is touched.
// Layout of a block: the codes of its BLOCK_TOKENS tokens, GROUP bytes each, at SCALES_OFFSET their float32 scales.
//
// 1. GROUP / VALUES lanes take a key; a warp asks for ROWS_A_WARP of them for each lane before it works on any.
// 2. amax by shuffles among those lanes; scale, quotients and codes as quantized_group.cuh has them.
// 3. A lane stores VALUES codes at once, one lane of a key its scale.
#include "../cache_rows/quantized_group.cuh"
#include "../cache_rows/row_slots.cuh"

constexpr int KEYS = 32 / GROUP_LANES;  // of a warp at a time
static_assert(BLOCK_BYTES % 16 == 0 && SCALES_OFFSET % 4 == 0, "codes are written up to 16 bytes at a time");

struct Key {
    int64_t slot;
    uint4 values[VECTORS];
};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_AN_SM)
    quantize_keys(const uint4* keys, const slot_t* slots, uint8_t* cache, int rows, int64_t capacity) {
    const int place = lane_number() % GROUP_LANES;
    const int first = warp_number() * ROWS_A_WARP * KEYS + lane_number() / GROUP_LANES;

    Key loaded[ROWS_A_WARP];
#pragma unroll
    for (int r = 0; r < ROWS_A_WARP; ++r) {
        Key& key = loaded[r];
        key.slot = slot_of(slots, first + r * KEYS, rows, capacity);
        const uint4* source = keys + (int64_t)(first + r * KEYS) * (GROUP / 8) + place * VECTORS;
#pragma unroll
        for (int i = 0; i < VECTORS; ++i) key.values[i] = key.slot < 0 ? uint4{0, 0, 0, 0} : __ldg(source + i);
    }

#pragma unroll
    for (int r = 0; r < ROWS_A_WARP; ++r) {
        const Key& key = loaded[r];
        float scale = group_scale(key.values);  // of all lanes: those of a skipped key take part in the shuffles
        if (key.slot < 0) continue;
        uint8_t* block = cache + key.slot / BLOCK_TOKENS * BLOCK_BYTES;
        const int token = (int)(key.slot % BLOCK_TOKENS);
        quantized(key.values, scale).store(block + token * GROUP + place * VALUES);
        if (place == 0) *(float*)(block + SCALES_OFFSET + token * 4) = scale;
    }
}
