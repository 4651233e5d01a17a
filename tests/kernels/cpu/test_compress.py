"""The compressing pass of top-k selection."""

from __future__ import annotations

import numpy as np
import pytest

from dsabench.kernels.cpu.compress import columns_at_least
from dsabench.kernels.cpu.jit import kernel
from dsabench.kernels.machine import cpu_isa

FORMS = [None] + ([1] if "avx512f" in cpu_isa() else [])


@kernel
def _columns(x, start, end, threshold, columns, vector):
    return columns_at_least(x, start, end, threshold, columns, vector)


@pytest.mark.parametrize("vector", FORMS)
@pytest.mark.parametrize(("start", "end"), [(0, 1), (3, 3), (5, 70), (1, 1000), (0, 64), (17, 1024)])
@pytest.mark.parametrize("threshold", [-np.inf, 0.0, 1.5, np.inf])
def test_columns(vector: int | None, start: int, end: int, threshold: float) -> None:
    x = np.random.default_rng(end).standard_normal(1024).astype(np.float32)
    x[::7] = np.nan
    x[::11] = -np.inf
    x[::13] = np.inf
    x[::17] = 0.0
    columns = np.full(1024 + 64, -5, np.int32)
    count = _columns(x, start, end, np.float32(threshold), columns, vector)
    expected = [i for i in range(start, end) if x[i] >= threshold]
    assert columns[:count].tolist() == expected


@pytest.mark.parametrize("vector", FORMS)
def test_at_most_64_slots_are_overwritten_past_the_window(vector: int | None) -> None:
    x = np.ones(640, np.float32)
    columns = np.full(640 + 64 + 8, -5, np.int32)
    assert _columns(x, 0, 640, np.float32(0.0), columns, vector) == 640
    assert (columns[-8:] == -5).all()
