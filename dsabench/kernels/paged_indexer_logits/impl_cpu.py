"""Paged indexer logits on the CPU: keys decoded out of the 132-byte cache, block by block, scored in registers.

Contract: REFERENCE §2, `paged_indexer_logits`. Layout of the cache: per block of 64 tokens, 64×128 key bytes, then 64 f32
scales.

1. A task is one sequence times a run of columns; runs are cut so that every thread gets TASKS_PER_THREAD tasks.
2. The task packs the sequence's next_n queries as panels [words][heads].
3. BLOCK_KV keys at a time are decoded through the block table (never past the longest context of the sequence).
4. Each block is scored against all next_n queries; columns past a query's context get -inf.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.convert import decode_codes, e4m3_table, prefetch_bytes
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.cpu.memory import aligned_empty, borrowed
from dsabench.kernels.cpu.parallel import parallel_for, thread_count
from dsabench.kernels.cpu.scoring import (
    DIM,
    SCORE_KEYS,
    pack_query,
    padded_lanes,
    score_window,
    word_dtype,
    words_per_key,
)
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.indexer_logits.impl_cpu import constraint
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.paged_indexer_logits.contract import Inputs

PAGE = 64
PAGE_BYTES = PAGE * (DIM + 4)


@kernel
def _score_task(
    q,
    cache,
    scales,
    weights,
    lens,
    table_row,
    out,
    sequence,
    columns,
    table,
    panel,
    padded_weights,
    block,
    key_scale,
    row,
    lanes,
    nk,
):
    """Scores the queries of one sequence against its keys [columns[0], columns[1]).

    q: uint8 [b, next_n, h, 128]; cache: uint8, flat; scales: the same bytes as f32, flat; out: f32 [b·next_n, columns].
    """
    next_n, heads = q.shape[1], q.shape[2]
    queries = q.reshape(q.shape[0] * next_n, heads, DIM)
    flat_out = out.reshape(out.size)
    flat_block = block.reshape(block.size)
    longest = 0
    for j in range(next_n):
        t = sequence * next_n + j
        pack_query(queries, t, heads, lanes, table, panel, j * row.size * lanes, row)
        for h in range(lanes):
            padded_weights[j * lanes + h] = weights[t, h] if h < heads else np.float32(0.0)
        longest = max(longest, lens[sequence, j])
    for first_key in range(columns[0], columns[1], block.shape[0]):
        count = min(block.shape[0], columns[1] - first_key)
        # Keys of one page are contiguous: one decode a page, not one a key (a call costs as much as a key's codes).
        i, needed = 0, min(count, longest - first_key)
        while i < needed:
            page, slot = np.int64(table_row[(first_key + i) // PAGE]), (first_key + i) % PAGE
            run = min(PAGE - slot, needed - i)
            decode_codes(cache, page * PAGE_BYTES + slot * DIM, run * DIM, table, None, flat_block, i * row.size)
            for n in range(run):
                key_scale[i + n] = scales[page * (PAGE_BYTES // 4) + PAGE * DIM // 4 + slot + n]
            i += run
        # The next block travels from memory while this one is scored: pages are 8 KB pieces anywhere in the cache.
        following, end = first_key + count, min(first_key + count + block.shape[0], columns[1], longest)
        while following < end:
            page, slot = np.int64(table_row[following // PAGE]), following % PAGE
            run = min(PAGE - slot, end - following)
            prefetch_bytes(cache, page * PAGE_BYTES + slot * DIM, run * DIM)
            following += run
        for j in range(next_n):
            t = np.int64(sequence * next_n + j)
            score_window(
                block, first_key, count, panel, j, lanes, padded_weights, key_scale,
                0, lens[sequence, j], flat_out, t * out.shape[1] + first_key, nk,
            )  # fmt: skip


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Computes into outputs = (logits f32 [b·next_n, max_context_len],). `config` is a full config."""
    q = inputs.q.view(torch.uint8).numpy()
    b, next_n, heads, _ = q.shape
    columns = inputs.max_context_len
    block_kv, math = int(config["BLOCK_KV"]), str(config["MATH"])
    lanes = padded_lanes(heads)
    table = e4m3_table(str(config["DEQUANT"]))
    threads = thread_count()
    blocks = -(-columns // block_kv)
    runs = min(blocks, max(1, -(-threads * int(config["TASKS_PER_THREAD"]) // b)))
    run_columns = -(-blocks // runs) * block_kv
    runs = -(-columns // run_columns)
    cache = inputs.k_cache.reshape(-1)
    cache_bytes, cache_scales = cache.numpy(), cache.view(torch.float32).numpy()
    weights, lens, block_table, out = (
        t.numpy() for t in (inputs.weights, inputs.context_lens, inputs.block_table, outputs[0])
    )
    with borrowed(min(threads, b * runs), _make_thread, next_n, lanes, block_kv, math) as scratch:

        def task(number: int, slot: int) -> None:
            sequence, part = divmod(number, runs)
            span = (part * run_columns, min(columns, (part + 1) * run_columns))
            _score_task(
                q, cache_bytes, cache_scales, weights, lens, block_table[sequence], out, sequence, span, table,
                *scratch[slot], lanes, int(config["NK"]),
            )  # fmt: skip

        parallel_for(b * runs, task, threads)


def _make_thread(next_n: int, lanes: int, block_kv: int, math: str) -> tuple[np.ndarray, ...]:
    """What one thread needs: panels, weights, a block of keys and their scales, one key's words."""
    words, dtype = words_per_key(math), word_dtype(math)
    return (
        aligned_empty(next_n * words * lanes, dtype),
        aligned_empty(next_n * lanes, np.float32),
        aligned_empty((block_kv, words), dtype),
        aligned_empty(block_kv, np.float32),
        aligned_empty(words, dtype),
    )


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {
        "MATH": products.default_math(),
        "DEQUANT": products.default_dequant(),
        "BLOCK_KV": 192,
        "NK": 6 if axes["h"] == 64 else 12,
        "TASKS_PER_THREAD": 4,
    }


IMPLEMENTATION = Implementation(
    op="paged_indexer_logits",
    name="cpu",
    summary="numba vector kernels: keys decoded out of the 132-byte cache, scored in registers",
    device_types=("cpu",),
    tunables=(
        products.MATH,
        products.DEQUANT,
        Tunable("BLOCK_KV", (96, 192, 384, 768), "keys decoded at a time"),
        Tunable("NK", SCORE_KEYS, "keys a register tile"),
        Tunable("TASKS_PER_THREAD", (1, 4, 16), "runs of columns a thread, taken as threads come free"),
    ),
    default_config=default_config,
    run=run,
    constraint=constraint,
    unavailable=products.unavailable,
    describe=products.describe_products,
)
