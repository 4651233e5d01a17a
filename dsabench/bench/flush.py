"""Pushing the inputs out of a CPU's last-level cache."""

from __future__ import annotations

import numpy as np

from dsabench.kernels.cpu.parallel import parallel_for
from dsabench.kernels.machine import usable_cpus


class Flush:
    """Streams twice the last-level cache through it, for workloads whose copies cannot fill it.

    By plain threads: after a torch reduction OpenMP's threads spin on, hold the core that the next kernel's own threads
    need, and made a 2.9 ms call 4.5 ms.
    """

    def __init__(self, last_level_cache_bytes: int) -> None:
        self.bytes = 2 * last_level_cache_bytes
        self._parts: list[np.ndarray] = []

    def __call__(self) -> None:
        threads = usable_cpus()
        if not self._parts:
            self._parts = [np.ones(self.bytes // 4 // threads, np.float32) for _ in range(threads)]
        parallel_for(threads, lambda task, slot: self._parts[task].max(), threads)
