"""The wall time of a whole command, and how it is shared out."""

from __future__ import annotations

import re
import time

_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(s|m|h)?\s*$")


class BudgetError(ValueError):
    """A budget that is not a duration above 0."""


def parse_duration(text: str) -> float:
    """`90s`, `5m`, `1h` or bare seconds → seconds. Raises BudgetError on anything else and on 0."""
    match = _DURATION.match(text)
    if not match:
        raise BudgetError(f"{text!r} is not a duration; write for example 90s, 5m or 300")
    seconds = float(match[1]) * {"s": 1.0, "m": 60.0, "h": 3600.0}[match[2] or "s"]
    if seconds <= 0:
        raise BudgetError(f"must be above 0, got {text.strip()}")
    return seconds


class Budget:
    """Counts from `begun` (a time.monotonic() value): the start of the command, not of the search."""

    def __init__(self, seconds: float, begun: float) -> None:
        self.seconds = seconds
        self.begun = begun

    @property
    def used(self) -> float:
        return time.monotonic() - self.begun

    @property
    def left(self) -> float:
        return self.seconds - self.used
