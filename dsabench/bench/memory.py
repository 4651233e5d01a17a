"""Memory: what a call needs beyond its outputs, what a trial may use, and what is free."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

_CLEAR_REFS = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def peak_extra_bytes(call: Callable[[], None]) -> int | None:
    """Runs `call` once; returns by how much the process's resident memory rose above what it was before, at its highest.

    Linux only (None elsewhere, or where /proc may not be written). What an earlier call keeps allocated is not seen again.
    """
    if not _reset_high_water():
        call()
        return None
    before = _high_water_bytes()
    call()
    return max(0, _high_water_bytes() - before)


def _reset_high_water() -> bool:
    # Freed blocks that malloc still holds would hide what the call needs. Without glibc the figure may come out too small.
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def _high_water_bytes() -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no VmHWM")


def available_bytes() -> int:
    return int(psutil.virtual_memory().available)


def limit_memory(fraction: float = 0.85) -> int | None:
    """Makes this process's allocations beyond `fraction` of the free memory fail, so that a config that wants too much ends
    as OUT_OF_MEMORY instead of dragging the machine down. Returns the limit in bytes; None where there is no such limit."""
    if sys.platform != "linux":
        return None  # macOS accepts RLIMIT_DATA and ignores it
    import resource

    limit = int(available_bytes() * fraction)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    return limit
