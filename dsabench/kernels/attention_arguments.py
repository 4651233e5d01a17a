"""Argument checks that only attention ops need."""

from __future__ import annotations

import torch


def check_index_range(name: str, value: torch.Tensor, minimum: int, maximum: int) -> None:
    """Raises ValueError when an element of the small int32 tensor `value` is outside [minimum, maximum]. Only data on the
    CPU is looked at: on a GPU it would stall the stream."""
    if value.device.type != "cpu" or not value.numel():
        return
    low, high = (int(v) for v in torch.aminmax(value))
    if low < minimum or high > maximum:
        raise ValueError(f"{name} must be in [{minimum}, {maximum}], got {low if low < minimum else high}")
