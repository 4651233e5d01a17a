"""Selected positions to slots of a paged cache on a GPU: one launch instead of torch's six."""

# mypy: allow-incomplete-defs

from __future__ import annotations

import torch
import triton
import triton.language as tl

from dsabench.bench.pipeline.shape import PAGE
from dsabench.kernels.triton.launch import Launch

_BLOCK = 1024


@triton.jit
def map_slots(positions_ptr, table_ptr, slots_ptr, entries_a_sequence, blocks, PAGE: tl.constexpr, BLOCK: tl.constexpr):
    """slots[i, e] = table[i, p // PAGE] · PAGE + p % PAGE with p = positions[i, e], −1 for p in no block.

    positions, slots int32 [b, entries_a_sequence], table int32 [b, blocks], contiguous. Grid: (ceil(entries_a_sequence / BLOCK), b).
    """
    sequence = tl.program_id(1).to(tl.int64)
    entry = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = entry < entries_a_sequence
    position = tl.load(positions_ptr + sequence * entries_a_sequence + entry, inside, other=-1)
    selected = (position >= 0) & (position // PAGE < blocks)
    block = tl.load(table_ptr + sequence * blocks + position // PAGE, selected, other=0)
    slot = tl.where(selected, block * PAGE + position % PAGE, -1)
    tl.store(slots_ptr + sequence * entries_a_sequence + entry, slot, inside)


def map_launch(positions: torch.Tensor, block_table: torch.Tensor, slots: torch.Tensor) -> Launch:
    """positions, slots int32 [b, s_q, k], block_table int32 [b, blocks]."""
    b, blocks = block_table.shape
    entries = positions.numel() // b
    return Launch(
        kernel=map_slots,
        grid=(triton.cdiv(entries, _BLOCK), b),
        arguments={
            "positions_ptr": positions,
            "table_ptr": block_table,
            "slots_ptr": slots,
            "entries_a_sequence": entries,
            "blocks": blocks,
            "PAGE": PAGE,
            "BLOCK": _BLOCK,
        },
        num_warps=4,
        num_stages=1,
    )
