"""Triton kernels that do nothing but move bytes: copy, streaming read, gather of rows. Their rates are the memory's ceilings."""

# mypy: allow-incomplete-defs

from __future__ import annotations

import triton
import triton.language as tl

CHUNK_WORDS = tl.constexpr(4)
"""Words of one 16-byte load, the widest there is."""


@triton.jit
def stream_copy(source_ptr, target_ptr, BLOCK: tl.constexpr):
    """target = source: both int32 [programs · BLOCK], contiguous, 16-byte aligned. Grid: (programs,).

    Program p moves words [p · BLOCK, (p + 1) · BLOCK): BLOCK / (32 · num_warps) words a thread, all loads before the stores.
    """
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    tl.store(target_ptr + at, tl.load(source_ptr + at))


@triton.jit
def stream_checksum(source_ptr, sums_ptr, BLOCK: tl.constexpr, TILES: tl.constexpr):
    """sums[p] = sum, modulo 2³², of the words that program p reads.

    source int32 [programs · TILES · BLOCK], sums int64 [programs]; contiguous, 16-byte aligned. Grid: (programs,).
    A thread keeps a running sum, which may wrap, for each word it loads of a tile; they are added up once, after the last tile,
    in 64 bits (Triton's interpreter refuses an int32 sum that wraps).
    """
    program = tl.program_id(0)
    first = program.to(tl.int64) * (TILES * BLOCK)
    total = tl.zeros([BLOCK], tl.int32)
    for tile in range(TILES):
        total += tl.load(source_ptr + first + tile * BLOCK + tl.arange(0, BLOCK))
    tl.store(sums_ptr + program, tl.sum(total.to(tl.int64), 0))


@triton.jit
def gather_checksum(table_ptr, rows_ptr, sums_ptr, ROW_WORDS: tl.constexpr, CHUNKS: tl.constexpr, TILES: tl.constexpr):
    """sums[p] = sum, modulo 2³², of the words that program p reads, of rows gathered whole from a table.

    table int32 [rows of the table, ROW_WORDS], fewer than 2³¹ words, ROW_WORDS a multiple of 4
    rows  int32 [n], which rows; n · ROW_WORDS / 4 = programs · TILES · CHUNKS, below 2³¹
    sums  int64 [programs]
    Contiguous, 16-byte aligned. Grid: (programs,).

    The gathered rows end to end are cut in chunks of 16 bytes. A thread loads a chunk's row number, which neighbours share and
    the first-level cache serves, then the chunk; threads side by side load chunks side by side, and no lane idles whatever the
    row's length (a tile of whole rows would be padded from 164 words to 256).
    """
    ROW_CHUNKS: tl.constexpr = ROW_WORDS // CHUNK_WORDS
    program = tl.program_id(0)
    word = tl.arange(0, CHUNK_WORDS)
    total = tl.zeros([CHUNKS, CHUNK_WORDS], tl.int32)
    for tile in range(TILES):
        chunk = (program * TILES + tile) * CHUNKS + tl.arange(0, CHUNKS)
        row = tl.load(rows_ptr + chunk // ROW_CHUNKS)
        begin = row * ROW_WORDS + chunk % ROW_CHUNKS * CHUNK_WORDS
        total += tl.load(table_ptr + begin[:, None] + word[None, :])
    tl.store(sums_ptr + program, tl.sum(tl.sum(total.to(tl.int64), 1), 0))
