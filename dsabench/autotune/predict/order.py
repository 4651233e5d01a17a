"""Candidates in the order of their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


def order_by_prediction(items: Sequence[_Item], predicted_s: Sequence[float | None]) -> list[_Item]:
    """`items` by predicted seconds, fastest first; what has no prediction (None) last; otherwise as they came. Raises ValueError
    when the two differ in length."""
    known = [(s, number) for number, s in enumerate(predicted_s) if s is not None]
    unknown = [number for number, s in enumerate(predicted_s) if s is None]
    if len(predicted_s) != len(items):
        raise ValueError(f"{len(items)} items, but {len(predicted_s)} predictions")
    return [items[number] for number in [n for _, n in sorted(known)] + unknown]
