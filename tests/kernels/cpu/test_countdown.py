"""Which of several tasks is the last."""

from __future__ import annotations

import numpy as np
import pytest

from dsabench.kernels.cpu.countdown import is_last
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.cpu.parallel import parallel_for


@kernel
def _count_off(left, times):
    last = 0
    for _ in range(times):
        for place in range(left.size):
            last += is_last(left, place)
    return last


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_exactly_one_is_the_last(threads: int) -> None:
    """Four threads take 50,000 each off three places at once: without an atomic subtraction some would be lost."""
    left = np.full(3, 200_000, np.int64)
    found: list[int] = []
    parallel_for(4, lambda task, slot: found.append(_count_off(left, 50_000)), threads)
    assert left.tolist() == [0, 0, 0]
    assert sum(found) == 3
