"""The wall time of a whole command, and how it is shared out."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

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


def fair_share(seconds: float, claims: Sequence[tuple[float, float]]) -> float:
    """What the first of `claims` (weight, need in seconds) may take of `seconds`: in proportion to its weight, where what
    others do not need goes to those who do. It may be more than it needs: needs are guesses."""
    todo = list(range(len(claims)))
    while todo:
        rate = max(0.0, seconds) / sum(claims[i][0] for i in todo)
        content = [i for i in todo if claims[i][1] <= claims[i][0] * rate]
        if 0 in content or not content:
            return claims[0][0] * rate
        seconds -= sum(claims[i][1] for i in content)
        todo = [i for i in todo if i not in content]
    return 0.0


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
