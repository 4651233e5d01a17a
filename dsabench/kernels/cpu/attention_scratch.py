"""Scratch memory and shape arithmetic of one attention task on the CPU."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dsabench.kernels.cpu.llvm import LANES
from dsabench.kernels.cpu.memory import aligned_empty

MAX_LANES = 4 * LANES
UNLIMITED = np.iinfo(np.int32).max


def row_groups(rows: int) -> tuple[int, int]:
    """(groups, lanes) for `rows` rows: the fewest lanes of 16, 32, 64 that hold them, else groups of 64."""
    lanes = next((n for n in (LANES, 2 * LANES) if rows <= n), MAX_LANES)
    return -(-rows // lanes), lanes


class Scratch(NamedTuple):
    """What one thread needs: packed queries, a block of keys and values, scores and probabilities. A kernel's argument."""

    panel: np.ndarray
    keys: np.ndarray
    values: np.ndarray
    value_step: int
    s: np.ndarray
    p: np.ndarray


def make_scratch(math: str, rows: int, block: int, d_qk: int, d_v: int, values_in_keys: bool) -> Scratch:
    """values_in_keys: the first d_v dims of a key are its value (MLA); else values have rows of their own (MHA), and `keys`
    of the returned scratch holds keys only."""
    groups, lanes = row_groups(rows)
    if math == "bf16":
        keys = aligned_empty((block + 1, d_qk // 2), np.uint32)  # one spare row: an odd block is padded with zeros
        values = aligned_empty(((block + 1) // 2, d_v), np.uint32)
        return Scratch(
            aligned_empty((groups, d_qk // 2, lanes), np.uint32), keys, values, d_v,
            aligned_empty((block, lanes), np.float32), aligned_empty(((block + 1) // 2, lanes), np.uint32),
        )  # fmt: skip
    keys = aligned_empty((block, d_qk), np.float32)
    values = keys if values_in_keys else aligned_empty((block, d_v), np.float32)
    return Scratch(
        aligned_empty((groups, d_qk, lanes), np.float32), keys, values, d_qk if values_in_keys else d_v,
        aligned_empty((block, lanes), np.float32), aligned_empty((block, lanes), np.float32),
    )  # fmt: skip


class State(NamedTuple):
    """Accumulator, reference exponent and sum (see kernels.cpu.attention), with or without a leading dim of splits."""

    o: np.ndarray
    m: np.ndarray
    l: np.ndarray


class Ahead(NamedTuple):
    """Rows that will be loaded next: row `rows[i]` is bytes [rows[i]·widths[j], (rows[i] + 1)·widths[j]) of sources[j]."""

    rows: np.ndarray
    sources: tuple[np.ndarray, ...]
    widths: tuple[int, ...]


def make_ahead(block: int, sources: tuple[np.ndarray, ...], widths: tuple[int, ...]) -> Ahead:
    return Ahead(np.empty(block, np.int64), sources, widths)


def one_split(state: State, split: int) -> State:
    """The state of one split of several."""
    return State(state.o[split], state.m[split], state.l[split])


def make_state(splits: int, rows: int, d_v: int) -> State:
    groups, lanes = row_groups(rows)
    return State(
        aligned_empty((splits, groups, d_v, lanes), np.float32),
        aligned_empty((splits, groups, lanes), np.float32),
        aligned_empty((splits, groups, lanes), np.float32),
    )
