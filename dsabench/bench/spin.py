"""Work of known duration for a CPU, to test what times it."""

from __future__ import annotations

import time


def spin(seconds: float) -> None:
    """Keeps this thread busy until `seconds` have passed since its first look at the clock: never less, and one more look at
    the clock, some 0.1 µs, where nothing else wants the core."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
