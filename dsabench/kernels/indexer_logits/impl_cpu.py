"""Indexer logits on the CPU: key blocks decoded once for a tile of queries, scored in registers.

Contract: REFERENCE §2, `indexer_logits`. Layout: q, k as they come; per task a panel of BLOCK_Q packed queries
[words][heads] and a block of BLOCK_KV decoded keys.

1. A task is BLOCK_Q queries times a run of key blocks; runs are cut so that every thread gets a few tasks.
2. The task packs its queries; a block that no window of the tile reaches is filled with -inf and not decoded.
3. Each key block is decoded once (exactly, to bf16 or f32) and scored against every query of the tile.
4. Products accumulate in f32; relu, weights, the sum over heads and k_scale are applied in registers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.convert import decode_codes, e4m3_table
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
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.indexer_logits.contract import Inputs

TASKS_PER_THREAD = 4  # enough that a core slowed by a neighbour holds up at most a quarter of its share


@kernel
def _score_task(
    q, k, k_scale, weights, ks, ke, out, queries, keys, table, panel, padded_weights, block, row, lanes, nk
):
    """Scores queries [queries[0], queries[1]) against keys [keys[0], keys[1]), both in full blocks or tails of them."""
    first_query, end_query = queries
    heads = q.shape[1]
    s_kv = k.shape[0]
    flat_out = out.reshape(out.size)
    flat_codes = k.reshape(k.size)
    flat_block = block.reshape(block.size)
    low, high = s_kv, 0
    for t in range(first_query, end_query):
        slot = t - first_query
        pack_query(q, t, heads, lanes, table, panel, slot * row.size * lanes, row)
        for h in range(lanes):
            padded_weights[slot * lanes + h] = weights[t, h] if h < heads else np.float32(0.0)
        if ke[t] > ks[t]:
            low, high = min(low, ks[t]), max(high, ke[t])
    for first_key in range(keys[0], keys[1], block.shape[0]):
        count = min(block.shape[0], keys[1] - first_key)
        if first_key < high and first_key + count > low:
            decode_codes(flat_codes, first_key * DIM, count * DIM, table, None, flat_block, 0)
        for t in range(first_query, end_query):
            slot = t - first_query
            score_window(
                block, first_key, count, panel, slot, lanes, padded_weights, k_scale[first_key : first_key + count],
                ks[t], ke[t], flat_out, t * s_kv + first_key, nk,
            )  # fmt: skip


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Computes into outputs = (logits f32 [s_q, s_kv],). `config` is a full config of this implementation."""
    q, k = inputs.q.view(torch.uint8).numpy(), inputs.k.view(torch.uint8).numpy()
    s_q, heads, _ = q.shape
    s_kv = k.shape[0]
    block_q, block_kv, math = int(config["BLOCK_Q"]), int(config["BLOCK_KV"]), str(config["MATH"])
    lanes = padded_lanes(heads)
    block_q = min(block_q, s_q)
    table = e4m3_table(str(config["DEQUANT"]))
    threads = thread_count()
    query_tiles = -(-s_q // block_q)
    blocks = -(-s_kv // block_kv)
    runs = min(blocks, max(1, -(-threads * TASKS_PER_THREAD // query_tiles)))
    run_keys = -(-blocks // runs) * block_kv
    runs = -(-s_kv // run_keys)
    arrays = [t.numpy() for t in (inputs.k_scale, inputs.weights, inputs.ks, inputs.ke, outputs[0])]
    with borrowed(min(threads, query_tiles * runs), _make_thread, block_q, lanes, block_kv, math) as scratch:

        def task(number: int, slot: int) -> None:
            tile, part = divmod(number, runs)
            queries = (tile * block_q, min(s_q, (tile + 1) * block_q))
            keys = (part * run_keys, min(s_kv, (part + 1) * run_keys))
            _score_task(q, k, *arrays, queries, keys, table, *scratch[slot], lanes, int(config["NK"]))

        parallel_for(query_tiles * runs, task, threads)


def _make_thread(block_q: int, lanes: int, block_kv: int, math: str) -> tuple[np.ndarray, ...]:
    """What one thread needs: panels, weights, a block of keys, one key's words."""
    words, dtype = words_per_key(math), word_dtype(math)
    return (
        aligned_empty(block_q * words * lanes, dtype),
        aligned_empty(block_q * lanes, np.float32),
        aligned_empty((block_kv, words), dtype),
        aligned_empty(words, dtype),
    )


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {
        "MATH": products.default_math(),
        "DEQUANT": products.default_dequant(),
        "BLOCK_Q": 16,
        "BLOCK_KV": 192,
        "NK": 6 if axes["h"] == 64 else 12,
    }


def constraint(config: Config, axes: Axes) -> str | None:
    if config["NK"] == 12 and axes["h"] == 64:
        return "NK=12 with 64 heads would need 48 accumulators of 32 registers"
    if config["NK"] == 4 and axes["h"] < 64:
        return "NK=4 is compiled for 64 heads only"
    return products.missing_extension(config)


IMPLEMENTATION = Implementation(
    op="indexer_logits",
    name="cpu",
    summary="numba vector kernels: keys decoded once a query tile, scored in registers",
    device_types=("cpu",),
    tunables=(
        products.MATH,
        products.DEQUANT,
        Tunable("BLOCK_Q", (4, 16, 64), "queries a task packs and scores against each decoded key block"),
        Tunable("BLOCK_KV", (96, 192, 384, 768), "keys decoded at a time"),
        Tunable("NK", SCORE_KEYS, "keys a register tile"),
    ),
    default_config=default_config,
    run=run,
    constraint=constraint,
    unavailable=products.unavailable,
    describe=products.describe_products,
)
