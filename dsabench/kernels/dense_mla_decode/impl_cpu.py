"""Dense MLA decode on the CPU over a paged bf16 cache (absorbed form).

Contract: REFERENCE §2, `dense MLA`, decode. Layout and online softmax: kernels.cpu.attention.

1. A task is one sequence and one split of its positions; the s_q × h_q rows are lanes, so each key serves all of them.
2. BLOCK_KV positions at a time are copied through the block table into a packed block (once for QKᵀ and PV).
3. With `causal`, row (t, h) sees positions below cache_seqlens − (s_q − 1 − t): a limit per lane, masked only in the blocks
   that cross one.
4. The last task of a sequence to finish merges its splits by their exponents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dsabench.kernels.cpu import products
from dsabench.kernels.cpu.attention import (
    LOG2_E,
    attend_block,
    finish_values,
    merge_states,
    pack_rows,
    reset_state,
    write_rows,
)
from dsabench.kernels.cpu.attention_scratch import State, make_ahead, make_scratch, make_state, row_groups
from dsabench.kernels.cpu.convert import copy_bf16
from dsabench.kernels.cpu.countdown import is_last
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.cpu.memory import borrowed
from dsabench.kernels.cpu.microkernel import REGISTER_TILES
from dsabench.kernels.cpu.parallel import parallel_for, thread_count
from dsabench.kernels.cpu.tiles import TILE, default_tile, tile_constraint
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.dense_mla_decode.contract import Inputs

D_QK, D_V = 576, 512
_NO_SINK = np.empty(0, np.float32)


@kernel
def _attend_split(
    q, sequence, rows, cache, page, table_row, length, split, limits, scale, scratch, states, left, place, ahead, tile,
    out, lse,
):  # fmt: skip
    """One split of a sequence's positions; the last of its splits to finish writes the sequence's rows.

    states: State with a leading dim of splits; left: int64, splits of the sequence in `place` that have not finished.
    """
    splits = states.m.shape[0]
    begin, end = length * split // splits, length * (split + 1) // splits
    state = State(states.o[split], states.m[split], states.l[split])
    pack_rows(q, sequence * rows * (D_QK // 2), D_QK // 2, rows, scratch.panel, scratch.panel.shape[2])
    reset_state(state)
    keys = scratch.keys
    flat = keys.reshape(keys.size)
    block = scratch.s.shape[0]
    for first in range(begin, end, block):
        count = min(block, end - first)
        # Positions of one page are contiguous: one copy a page, not one a position. No prefetch: the hardware's follows
        # these reads, and asking on top of it gained nothing (373 against 378 GFLOP/s).
        i = 0
        while i < count:
            slot = np.int64(table_row[(first + i) // page]) * page + (first + i) % page
            run = min(page - (first + i) % page, count - i)
            copy_bf16(cache, slot * (D_QK // 2), run * (D_QK // 2), flat, i * keys.shape[1])
            i += run
        steps = finish_values(keys, count, D_V, scratch.values)
        attend_block(scratch, state, count, steps, limits, first, scale, tile, ahead, 0)
    if is_last(left, place):
        merge_states(states)
        merged = State(states.o[0], states.m[0], states.l[0])
        write_rows(merged, rows, sequence * rows, 1, _NO_SINK, rows, out, lse)


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Computes into outputs = (out bf16 [b, s_q, h_q, 512], lse f32 [b, s_q, h_q]). `config` is a full config."""
    b, s_q, heads, _ = inputs.q.shape
    rows = s_q * heads
    page = inputs.kv_cache.shape[1]
    threads = thread_count()
    splits = int(config["SPLITS"])
    groups, lanes = row_groups(rows)
    tile = REGISTER_TILES.index(str(config["TILE"]))
    scale = np.float32(inputs.sm_scale) * LOG2_E
    q = inputs.q.view(torch.uint32).numpy().reshape(-1)
    cache = inputs.kv_cache.view(torch.uint32).numpy().reshape(-1)
    table, lengths = inputs.block_table.numpy(), inputs.cache_seqlens.numpy()
    out, lse = outputs[0].view(torch.uint16).numpy().reshape(-1), outputs[1].numpy().reshape(-1)
    nothing_ahead = make_ahead(0, (cache,), (0,))
    # States of as many sequences at a time as keep all threads busy: memory does not grow with the batch.
    wave = min(b, max(1, -(-2 * threads // splits)))
    visible = (
        np.repeat(np.arange(s_q, dtype=np.int32) - (s_q - 1), heads) if inputs.causal else np.zeros(rows, np.int32)
    )

    with (
        borrowed(
            min(threads, b * splits), make_scratch, str(config["MATH"]), rows, int(config["BLOCK_KV"]), D_QK, D_V, True
        ) as scratch,
        borrowed(wave, make_state, splits, rows, D_V) as states,
    ):
        for first in range(0, b, wave):
            count = min(wave, b - first)
            left = np.full(count, splits, np.int64)

            def part(number: int, slot: int, first: int = first, left: np.ndarray = left) -> None:
                place, split = divmod(number, splits)
                sequence = first + place
                length = int(lengths[sequence])
                limits = np.zeros(groups * lanes, np.int32)
                limits[:rows] = length + visible
                _attend_split(
                    q, sequence, rows, cache, page, table[sequence], length, split, limits.reshape(groups, lanes), scale,
                    scratch[slot], states[place], left, place, nothing_ahead, tile, out, lse,
                )  # fmt: skip

            parallel_for(count * splits, part, threads)


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {
        "MATH": products.default_math(),
        "BLOCK_KV": 120,
        "TILE": default_tile(axes["s_q"] * axes["h_q"]),
        "SPLITS": 4 if axes["b"] < 4 else 2,
    }


IMPLEMENTATION = Implementation(
    op="dense_mla_decode",
    name="cpu",
    summary="numba vector kernels: paged keys packed once for all rows, online softmax, split positions",
    device_types=("cpu",),
    tunables=(
        products.MATH,
        Tunable("BLOCK_KV", (60, 120, 240), "positions a step; multiples of 12, so that no register tile is cut"),
        TILE,
        Tunable("SPLITS", (2, 4, 8, 16), "parts of a sequence, merged by their exponents at the end"),
    ),
    default_config=default_config,
    run=run,
    constraint=lambda config, axes: tile_constraint(config, axes["s_q"] * axes["h_q"]),
    unavailable=products.unavailable,
    describe=products.describe_products,
)
