from __future__ import annotations

import pytest
import torch

from dsabench.bench.cpu_runtime import CpuRuntime
from dsabench.bench.flush import Flush
from dsabench.bench.pipeline.shape import Shape


class SmallRuntime(CpuRuntime):
    """The CPU with a small cache to flush, and without bounding the memory of the test process."""

    free = 8 * 10**9

    def __init__(self) -> None:
        self._cache_bytes = 1 << 16
        self._flush = Flush(self._cache_bytes)

    def free_bytes(self) -> int:
        return self.free


@pytest.fixture
def runtime() -> SmallRuntime:
    return SmallRuntime()


@pytest.fixture(autouse=True)
def one_torch_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def decode() -> Shape:
    """Three sequences of two tokens, whose context ends in the middle of a block."""
    return Shape("decode", context=200, batch=3, queries=2, heads=16, index_heads=8, topk=32)


@pytest.fixture
def prefill() -> Shape:
    return Shape("prefill", context=150, batch=1, queries=40, heads=8, index_heads=8, topk=32)
