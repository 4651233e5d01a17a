"""Pushing the inputs out of a GPU's L2."""

from __future__ import annotations

import torch


class GpuFlush:
    """Queues a read of `size` bytes on the current stream. A read and not a memset: lines that a memset left dirty would be
    written back while the timed kernel runs."""

    def __init__(self, size: int) -> None:
        self.bytes = size
        self._buffer: torch.Tensor | None = None
        self._sink: torch.Tensor | None = None

    def __call__(self) -> None:
        if self._buffer is None or self._sink is None:
            self._buffer = torch.zeros(self.bytes // 4, dtype=torch.float32, device="cuda")
            self._sink = torch.empty((), dtype=torch.float32, device="cuda")
        torch.amax(self._buffer, dim=0, out=self._sink)
