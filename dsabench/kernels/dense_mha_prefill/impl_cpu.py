"""Dense MHA prefill on the CPU (192/128 dims a head, causal or not).

Contract: REFERENCE §2, `dense MLA`, prefill. Layout and online softmax: kernels.cpu.attention.

1. A task is one head and BLOCK_Q queries: here the queries are lanes, 64 to a group.
2. BLOCK_KV keys of the head are packed at a time, once for all groups of the task; values get rows of their own and are
   interleaved in pairs for the bf16 product.
3. Causal: query t sees positions below s_kv − s_q + t + 1; blocks past the tile's last limit are never loaded, groups past
   theirs are skipped, and only blocks that cross a limit are masked.
4. Tasks go out head by head, longest tile first: a head's keys stay in the last-level cache for all of its tiles, and the
   rows of the next block (far apart: the heads lie between) are asked for while this one is computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.attention import (
    LOG2_E,
    ask_ahead,
    attend_block,
    finish_values,
    pack_rows,
    reset_state,
    write_rows,
)
from dsabench.kernels.cpu.attention_scratch import (
    Scratch,
    State,
    make_ahead,
    make_scratch,
    make_state,
    one_split,
    row_groups,
)
from dsabench.kernels.cpu.convert import copy_bf16
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.cpu.memory import aligned_empty, borrowed
from dsabench.kernels.cpu.microkernel import REGISTER_TILES
from dsabench.kernels.cpu.parallel import parallel_for, thread_count
from dsabench.kernels.cpu.tiles import TILE, default_tile, tile_constraint
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.dense_mha_prefill.contract import Inputs

D_QK, D_V = 192, 128


@kernel
def _collect(heads, head, first, end, rows):
    """Fills `rows` with where positions [first, end) of the head stand in k and v. Returns how many."""
    for position in range(first, end):
        rows[position - first] = np.int64(position) * heads + head
    return end - first


@kernel
def _attend_tile(
    q, k, v, heads, head, first_query, rows, end, limits, scale, scratch, value_rows, state, ahead, tile
):  # fmt: skip
    """The state of queries [first_query, first_query + rows) of one head after positions [0, end)."""
    count = _collect(heads, head, 0, min(end, scratch.s.shape[0]), ahead.rows)
    ask_ahead(ahead, 0, count)  # before the queries are packed: the first rows travel meanwhile
    q_row = D_QK // 2
    pack_rows(q, (first_query * heads + head) * q_row, heads * q_row, rows, scratch.panel, scratch.panel.shape[2])
    reset_state(state)
    keys = scratch.keys
    flat_keys, flat_values = keys.reshape(keys.size), value_rows.reshape(value_rows.size)
    block = scratch.s.shape[0]
    for first in range(0, end, block):
        for i in range(count):
            copy_bf16(k, ahead.rows[i] * (D_QK // 2), D_QK // 2, flat_keys, i * keys.shape[1])
            copy_bf16(v, ahead.rows[i] * (D_V // 2), D_V // 2, flat_values, i * value_rows.shape[1])
        beyond = first + count
        following = _collect(heads, head, beyond, min(end, beyond + block), ahead.rows)
        steps = finish_values(value_rows, count, D_V, scratch.values)
        attend_block(scratch, state, count, steps, limits, first, scale, tile, ahead, following)
        count = following


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Computes into outputs = (out bf16 [s_q, h_q, 128], lse f32 [s_q, h_q]). `config` is a full config."""
    s_q, heads, _ = inputs.q.shape
    s_kv = inputs.k.shape[0]
    block_q, block_kv, math = min(int(config["BLOCK_Q"]), s_q), int(config["BLOCK_KV"]), str(config["MATH"])
    threads = thread_count()
    tile = REGISTER_TILES.index(str(config["TILE"]))
    scale = np.float32(inputs.sm_scale) * LOG2_E
    q, k, v = (t.view(torch.uint32).numpy().reshape(-1) for t in (inputs.q, inputs.k, inputs.v))
    out, lse = outputs[0].view(torch.uint16).numpy().reshape(-1), outputs[1].numpy().reshape(-1)
    no_sink = np.empty(0, np.float32)
    query_tiles = -(-s_q // block_q)
    tasks = query_tiles * heads
    groups, lanes = row_groups(block_q)
    ahead = [make_ahead(block_kv, (k, v), (2 * D_QK, 2 * D_V)) for _ in range(min(threads, tasks))]
    with borrowed(len(ahead), _make_thread, math, block_q, block_kv) as scratch:

        def task(number: int, slot: int) -> None:
            head, tile_number = divmod(number, query_tiles)
            first = (query_tiles - 1 - tile_number) * block_q
            rows = min(block_q, s_q - first)
            limits = np.zeros(groups * lanes, np.int32)
            last = np.arange(first, first + rows, dtype=np.int32) + (s_kv - s_q + 1)
            limits[:rows] = np.maximum(last, 0) if inputs.causal else s_kv
            block, value_rows, state = scratch[slot]
            _attend_tile(
                q, k, v, heads, head, first, rows, int(limits.max()), limits.reshape(groups, lanes), scale,
                block, value_rows, state, ahead[slot], tile,
            )  # fmt: skip
            write_rows(state, rows, first * heads + head, heads, no_sink, rows, out, lse)

        parallel_for(tasks, task, threads)


def _make_thread(math: str, block_q: int, block_kv: int) -> tuple[Scratch, np.ndarray, State]:
    """What one thread needs: scratch, rows of values, the state of a tile's queries."""
    block = make_scratch(math, block_q, block_kv, D_QK, D_V, values_in_keys=False)
    # f32 values need no interleaving: the rows themselves are the operand.
    rows = aligned_empty((block_kv + 1, D_V // 2), np.uint32) if math == "bf16" else block.values
    return block, rows, one_split(make_state(1, block_q, D_V), 0)


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    block_q = 256 if axes["s_q"] * axes["h_q"] >= 2048 else 64
    return {
        "MATH": products.default_math(),
        "BLOCK_Q": block_q,
        "BLOCK_KV": 120,
        "TILE": default_tile(min(block_q, axes["s_q"])),
    }


IMPLEMENTATION = Implementation(
    op="dense_mha_prefill",
    name="cpu",
    summary="numba vector kernels: flash attention with queries as lanes, causal blocks skipped",
    device_types=("cpu",),
    tunables=(
        products.MATH,
        Tunable("BLOCK_Q", (64, 128, 256), "queries of one head a task"),
        Tunable("BLOCK_KV", (60, 120, 240), "keys a step; multiples of 12, so that no register tile is cut"),
        TILE,
    ),
    default_config=default_config,
    run=run,
    constraint=lambda config, axes: tile_constraint(config, min(int(config["BLOCK_Q"]), axes["s_q"])),
    unavailable=products.unavailable,
    describe=products.describe_products,
)
