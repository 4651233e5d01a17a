// TileLang's copies to and from shared memory, and its atomics.
#pragma once

#include "asynchronous.h"
#include "emulator.h"

namespace tl {

template <int Bytes>
void cp_async_gs(const void* shared, const void* global) {
    emulator::copy_async((void*)shared, global, Bytes, Bytes);
}
template <int Bytes>
void cp_async_gs_conditional(const void* shared, const void* global, bool wanted) {
    emulator::copy_async((void*)shared, global, Bytes, wanted ? Bytes : 0);
}
inline void cp_async_commit() { emulator::copy_async_commit(); }
template <int Pending>
void cp_async_wait() {
    if (Pending == 0) emulator::copy_async_commit();  // cp.async.wait_all
    emulator::copy_async_wait(Pending);
}

// PTX ISA, "ldmatrix", "stmatrix": of matrix i, row r stands at the address of lane 8·i + r; lane l holds row l / 4, columns
// 2·(l % 4) and the next; transposed, rows and columns change places.
template <int Count, bool Transposed>
void load_matrices(const void* row, void* words) {
    const uint64_t* rows = emulator::exchange("ldmatrix", 0xffffffffu, (uint64_t)row);
    unsigned lane = emulator::current->lane();
    for (unsigned i = 0; i < Count; ++i)
        for (unsigned e = 0; e < 2; ++e) {
            unsigned r = Transposed ? 2 * (lane % 4) + e : lane / 4, c = Transposed ? lane / 4 : 2 * (lane % 4) + e;
            ((uint16_t*)words)[2 * i + e] = ((const uint16_t*)rows[8 * i + r])[c];
        }
}
template <int Count, bool Transposed>
void store_matrices(const void* row, const int32_t (&words)[Count]) {
    const uint64_t* rows = emulator::exchange("stmatrix", 0xffffffffu, (uint64_t)row);
    unsigned lane = emulator::current->lane();
    for (unsigned i = 0; i < Count; ++i)
        for (unsigned e = 0; e < 2; ++e) {
            unsigned r = Transposed ? 2 * (lane % 4) + e : lane / 4, c = Transposed ? lane / 4 : 2 * (lane % 4) + e;
            ((uint16_t*)rows[8 * i + r])[c] = (uint16_t)(words[i] >> 16 * e);
        }
}
inline void ptx_ldmatrix_x1(const void* row, void* words) { load_matrices<1, false>(row, words); }
inline void ptx_ldmatrix_x2(const void* row, void* words) { load_matrices<2, false>(row, words); }
inline void ptx_ldmatrix_x4(const void* row, void* words) { load_matrices<4, false>(row, words); }
inline void ptx_ldmatrix_x1_trans(const void* row, void* words) { load_matrices<1, true>(row, words); }
inline void ptx_ldmatrix_x2_trans(const void* row, void* words) { load_matrices<2, true>(row, words); }
inline void ptx_ldmatrix_x4_trans(const void* row, void* words) { load_matrices<4, true>(row, words); }
inline void ptx_stmatrix_m8n8_x1(const void* row, int a) { store_matrices<1, false>(row, {a}); }
inline void ptx_stmatrix_m8n8_x2(const void* row, int a, int b) { store_matrices<2, false>(row, {a, b}); }
inline void ptx_stmatrix_m8n8_x4(const void* row, int a, int b, int c, int d) { store_matrices<4, false>(row, {a, b, c, d}); }
inline void ptx_stmatrix_m8n8_x1_trans(const void* row, int a) { store_matrices<1, true>(row, {a}); }
inline void ptx_stmatrix_m8n8_x2_trans(const void* row, int a, int b) { store_matrices<2, true>(row, {a, b}); }
inline void ptx_stmatrix_m8n8_x4_trans(const void* row, int a, int b, int c, int d) { store_matrices<4, true>(row, {a, b, c, d}); }

}  // namespace tl

template <class T>
T AtomicAddRet(T* address, T value, int order = 0) {
    return atomicAdd(address, value);
}
template <class T>
void AtomicAdd(T* address, T value, int order = 0) {
    atomicAdd(address, value);
}
template <class T>
void AtomicMax(T* address, T value, int order = 0) {
    atomicMax(address, value);
}
