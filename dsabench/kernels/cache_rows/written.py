"""The verdict on a cache that rows were written into: the bytes of every row that was checked, and of every slot that no row names.

Bytes are equal, but for NaN: which bits a NaN code or scale has is the machine's choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from dsabench.kernels.cache_rows.exact import NAN_BITS, NAN_CODE
from dsabench.kernels.cache_rows.slots import UNUSED, in_range
from dsabench.kernels.op import Check

_TILE = 1 << 26  # bytes of a cache looked at at a time

RULE = "per row: every byte is the exact formula's (any NaN for a NaN); every byte of a slot that no row names is as it was"


@dataclass(frozen=True)
class TokenBytes:
    """What the bytes of a token are: codes, then scales, then what is copied."""

    codes: int
    scales: int

    def canonical(self, tokens: torch.Tensor) -> torch.Tensor:
        """uint8 [n, bytes] with one NaN for all, in codes and scales."""
        tokens = tokens.clone()
        codes = tokens[:, : self.codes]
        codes[(codes & 0x7F) == NAN_CODE] = NAN_CODE
        end = self.codes + 4 * self.scales
        bits = tokens[:, self.codes : end].contiguous().view(torch.int32)
        bits[(bits & 0x7FFFFFFF) > 0x7F800000] = NAN_BITS
        tokens[:, self.codes : end] = bits.view(torch.uint8)
        return tokens

    def name(self, byte: int) -> str:
        if byte < self.codes:
            return f"code {byte}"
        if byte < self.codes + 4 * self.scales:
            return f"byte {(byte - self.codes) % 4} of scale {(byte - self.codes) // 4}"
        return f"byte {byte - self.codes - 4 * self.scales} behind the scales"


def check_written(
    name: str,
    planes: Sequence[torch.Tensor],
    layout: TokenBytes,
    slots: torch.Tensor,
    rows: torch.Tensor,
    expected: torch.Tensor,
) -> Check:
    """planes: uint8 [num_blocks, page, bytes] views of the cache `name` that hold a token's bytes in this order; it held UNUSED bytes
    alone before it was written into. expected: uint8 [len(rows), bytes], of skipped rows anything."""
    num_blocks, page = planes[0].shape[:2]
    capacity = num_blocks * page
    own = slots[rows.to(slots.device)].long()
    written = in_range(own, capacity).cpu()
    own = own[written.to(own.device)]
    got = torch.cat([plane[own // page, own % page] for plane in planes], -1).cpu()
    differ = layout.canonical(got) != layout.canonical(expected[written])
    worst = {"wrong_bytes": float(differ.sum())}
    reason = ""
    if bool(differ.any()):
        row, byte = (int(i) for i in differ.nonzero()[0])
        reason = (
            f"{name}: checked row {int(rows[written][row])} in slot {int(own[row])}, {layout.name(byte)}: got "
            f"{int(got[row, byte]):#04x}, expected {int(expected[written][row, byte]):#04x} ({int(differ.sum())} bytes differ)"
        )
    touched = _touched(slots, capacity).view(num_blocks, page)
    for plane in planes:
        reason = reason or _stray_write(name, plane, touched)
    return Check(not reason, len(rows), len(slots), RULE, worst, reason)


def _touched(slots: torch.Tensor, capacity: int) -> torch.Tensor:
    """bool [capacity]: whether a row names the slot."""
    touched = torch.zeros(capacity, dtype=torch.bool, device=slots.device)
    touched[slots[in_range(slots, capacity)].long()] = True
    return touched


def _stray_write(name: str, plane: torch.Tensor, touched: torch.Tensor) -> str:
    """ "" or the first slot that no row names and that was written to."""
    page = plane.shape[1]
    step = max(1, _TILE // plane[0].numel())
    for first in range(0, plane.shape[0], step):
        changed = (plane[first : first + step] != UNUSED).any(-1) & ~touched[first : first + step]
        if bool(changed.any()):
            block, offset = (int(i) for i in changed.nonzero()[0])
            return f"{name}: slot {(first + block) * page + offset}, which no row names, was written to"
    return ""
