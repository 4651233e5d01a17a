"""From selected positions to physical slots of a paged cache: slot = block_table[sequence, position // 64] · 64 + position % 64.

Between top-k, which knows positions, and sparse decode, which reads slots. A step of its own, since somebody has to do it for every
layer and token; here through the block table, as an engine that keeps no map of single tokens does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from dsabench.bench.pipeline.shape import PAGE
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.cpu.parallel import parallel_for
from dsabench.kernels.triton import runtime as triton_runtime

_ENTRIES_A_TASK = 1 << 16
"""Fewer are mapped sooner than a second thread is woken: 2048 take 2 µs, handing work over 80."""


def slots_of(positions: torch.Tensor, block_table: torch.Tensor) -> torch.Tensor:
    """int32 [b, s_q, k] from `positions` int32 [b, s_q, k] and `block_table` int32 [b, blocks]; −1, which attention skips, for
    positions in no block (nothing selected, or a broken top-k). In torch, on any device: what the kernels are held to."""
    selected = (positions >= 0) & (positions < block_table.shape[1] * PAGE)
    page = torch.where(selected, positions, 0).long() // PAGE
    blocks = block_table[:, None].expand(-1, positions.shape[1], -1).gather(2, page)
    return torch.where(selected, blocks * PAGE + positions % PAGE, -1)


@kernel
def _map_entries(positions, table, entries_a_sequence, first, last, out):
    """Entries [first, last) of flat int32 arrays; table int32 [b, blocks]."""
    entry = first
    while entry < last:
        sequence = entry // entries_a_sequence
        end = min(last, (sequence + 1) * entries_a_sequence)
        row = table[sequence]
        for i in range(entry, end):
            position = positions[i]
            selected = position >= 0 and (position >> 6) < row.size
            out[i] = (row[position >> 6] << 6) + (position & 63) if selected else -1
        entry = end


def slot_mapper(
    positions: torch.Tensor, block_table: torch.Tensor, slots: torch.Tensor
) -> tuple[str, Callable[[], None]]:
    """(what does it, a call that writes `slots` int32 [b, s_q, k] from what `positions` of the same shape holds by then)."""
    if slots.device.type == "cpu":
        return "cpu", _on_cpu(positions, block_table, slots)
    if triton_runtime.unavailable() is None:
        from dsabench.bench.pipeline.triton_slots import map_launch

        return "triton", map_launch(positions, block_table, slots).run

    def by_torch() -> None:
        slots.copy_(slots_of(positions, block_table))

    return "torch", by_torch


def _on_cpu(positions: torch.Tensor, block_table: torch.Tensor, slots: torch.Tensor) -> Callable[[], None]:
    flat, out, table = positions.numpy().reshape(-1), slots.numpy().reshape(-1), block_table.numpy()
    entries, a_sequence = flat.size, np.int64(flat.size // table.shape[0])
    tasks = -(-entries // _ENTRIES_A_TASK)

    def task(number: int, slot: int) -> None:
        _map_entries(flat, table, a_sequence, entries * number // tasks, entries * (number + 1) // tasks, out)

    return lambda: parallel_for(tasks, task)
