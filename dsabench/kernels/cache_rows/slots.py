"""Slot mappings as serving engines give them: one physical slot a row, block · page + offset; what is no slot pads.

A row whose slot is -1, negative or past the cache is skipped. Slots that are written to are distinct: which of two rows a slot
named twice keeps is not defined, and nobody looks, as that would cost a pass and, on a GPU, a wait.
"""

from __future__ import annotations

import numpy as np
import torch

UNUSED = 0x7F
"""Byte of every slot of a fresh cache that an op of ours makes to be written into, so that a check sees a write to a slot that no row
names. NaN as a code; `bench.workbench.poison` fills outputs with the same."""
ALIGNMENT = 16
"""Bytes: rows and caches start at a multiple, so that they are read and written 16 bytes at a time. What torch allocates does, and
so do its rows (1152 and 256 bytes) and the caches' (656 and 8448)."""

SLOT_DISTRIBUTIONS = {
    "normal": "random rows in order in shuffled blocks, int64 slots",
    "int32_slots": "as normal, with int32 slots",
    "scattered": "every row anywhere in the cache",
    "padded": "every other row has slot -1",
    "out_of_range": "every other slot is out of range: the number of slots, 2^31 - 1, -2, and of int64 beyond 32 bits",
}
"""What a row's slot can be; rows are normal then."""


def blocks_for(rows: int, page: int) -> int:
    """Blocks of a cache that keeps `rows` rows and a quarter as many untouched slots, at least one of them."""
    return -(-(rows + rows // 4 + 1) // page)


def draw_slots(distribution: str, rows: int, num_blocks: int, page: int, rng: np.random.Generator) -> torch.Tensor:
    """int64 (int32 of `int32_slots`) [rows] on the CPU, those in range distinct, row 0 among them."""
    capacity = num_blocks * page
    if distribution == "scattered":
        slots = rng.permutation(capacity)[:rows]
    else:
        slots = (rng.permutation(num_blocks)[:, None] * page + np.arange(page)).reshape(-1)[:rows]
    if distribution == "padded":
        slots[1::2] = -1
    elif distribution == "out_of_range":
        outside = np.array([capacity, 2**31 - 1, -2, -(2**31), 2**32, 2**32 + 1, -(2**63), 2**63 - 1, -(2**32)])
        outside = outside[(outside < 0) | (outside >= capacity)]
        slots[1::2] = outside[np.arange(len(slots[1::2])) % len(outside)]
    return torch.from_numpy(slots.astype(np.int32 if distribution == "int32_slots" else np.int64))


def in_range(slots: torch.Tensor, capacity: int) -> torch.Tensor:
    """bool, of the shape of `slots`: whether a row is moved."""
    return (slots >= 0) & (slots < capacity)


def count_in_range(slots: torch.Tensor, capacity: int) -> int:
    return int(in_range(slots, capacity).sum())


def slot_dtype(slots: object) -> torch.dtype:
    """What `check_tensor` is to ask of slots: int32 where they are, else int64."""
    return torch.int32 if isinstance(slots, torch.Tensor) and slots.dtype == torch.int32 else torch.int64


def check_aligned(**tensors: torch.Tensor) -> None:
    """Raises ValueError naming a tensor that does not start at a multiple of ALIGNMENT bytes."""
    for name, tensor in tensors.items():
        past = tensor.data_ptr() % ALIGNMENT
        if past:
            raise ValueError(
                f"{name} must start at a multiple of {ALIGNMENT} bytes, got a view that starts {past} past one"
            )
