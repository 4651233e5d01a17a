"""The time of a whole prompt from the time of a token at a few positions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PromptTime:
    """seconds: of all tokens up to a position; assumed: the share of it that belongs to tokens before the shortest position
    measured, where the power law of the first two positions is taken to hold."""

    seconds: float
    assumed: float


def prompt_times(token_s: Mapping[int, float]) -> dict[int, PromptTime]:
    """`token_s[position]`: seconds of a token at that position, above 0. → by position, the integral from 0 to it: trapezoids
    between positions (exact for a + b·L, which is what attention takes), a power law below the first (exact for L^e; constant
    when there is but one position, or when the time falls)."""
    positions = sorted(token_s)
    first = positions[0]
    exponent = 0.0
    if len(positions) > 1:
        second = positions[1]
        exponent = max(0.0, math.log(token_s[second] / token_s[first]) / math.log(second / first))
    below = total = first * token_s[first] / (1.0 + exponent)
    times = {first: PromptTime(total, 1.0)}
    for left, right in itertools.pairwise(positions):
        total += (right - left) * (token_s[left] + token_s[right]) / 2.0
        times[right] = PromptTime(total, below / total)
    return times
