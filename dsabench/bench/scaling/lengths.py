"""Context lengths in words, where they need not be whole."""

from __future__ import annotations


def format_length(length: float) -> str:
    """9318 as `9.1K`, 131072 as `128K`, 512 as `512`: two digits below 10K, whole thousands (of 1024) above, `1M` from 2²⁰."""
    for unit, size in (("M", 1024 * 1024), ("K", 1024)):
        if length >= size * 0.999:
            value = length / size
            return f"{value:.1f}".removesuffix(".0") + unit if value < 9.95 else f"{value:.0f}{unit}"
    return f"{length:.0f}"


def format_range(low: float, high: float) -> str:
    """`8.4–9.9K`: the unit once where both ends share it."""
    left, right = format_length(low), format_length(high)
    if left == right:
        return left
    if not left[-1].isdigit() and left[-1] == right[-1]:
        left = left[:-1]
    return f"{left}–{right}"
