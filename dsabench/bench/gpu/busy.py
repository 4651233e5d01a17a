"""Whether a GPU is free to be measured on: other processes on it, and one dsabench at a time."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dsabench.bench.device import DeviceError
from dsabench.bench.gpu.nvml import Sensor
from dsabench.bench.gpu.selection import Gpu

UTILIZATION_PERCENT = 10
"""What a desktop may take; a neighbour that computes takes more."""
HIDDEN_BYTES = 2 * 2**30
"""More memory than that in use and no process to be seen: it is another container's. Far above the driver's own reserve, which
older drivers count in."""
_LOOKS, _LOOK_S = 6, 0.1


class GpuBusyError(DeviceError):
    """A GPU that others use; the message says who, in one line."""


def why_busy(sensor: Sensor, own: set[int]) -> str:
    """Who else uses the GPU, "" when nobody does: processes with a context on it but for those of `own`; else memory held by
    processes that cannot be seen; else a utilization that stays above UTILIZATION_PERCENT for half a second.

    Ask before a worker of ours has a context. Inside a container NVML gives the host's pids, among which ours cannot be told, or
    no process at all; for the latter the other two signs stand in. What the driver does not tell counts as nobody.
    """
    processes = sensor.processes() or []
    others = [p for p in processes if p.pid not in own]
    if others:
        told = []
        for process in others:
            used = f"{process.used_bytes / 2**20:.0f} MiB" if process.used_bytes is not None else ""
            details = ", ".join(part for part in (process.name, used) if part)
            told.append(f"{process.pid} ({details})" if details else str(process.pid))
        return f"other processes use it: {', '.join(told)}"
    if processes:
        return ""  # ours: memory and utilization may be its own
    held = sensor.memory_used()
    if held is not None and held > HIDDEN_BYTES:
        return f"{held / 2**30:.1f} GiB of its memory are held by processes that cannot be seen from here"
    lowest = 100
    for look in range(_LOOKS):
        if look:
            time.sleep(_LOOK_S)
        percent = sensor.utilization()
        # The driver's figure lags up to a second behind: a GPU that has just come free sinks below within the looks.
        if percent is None or percent <= UTILIZATION_PERCENT:
            return ""
        lowest = min(lowest, percent)
    return f"it is at least {lowest} % busy, with no process to be seen from here"


class GpuLock:
    """One dsabench a GPU and user: held while inside `with`, freed by the system when the process ends, however it ends.

    command: what runs, told to those who are refused. Entering raises GpuBusyError when another process holds it or the lock's
    folder cannot be used.
    """

    def __init__(self, gpu: Gpu, command: str, folder: Path | None = None) -> None:
        self._gpu = gpu
        self._command = command
        folder = folder or lock_folder()
        name = hashlib.sha256(gpu.visible.encode()).hexdigest()[:16]
        self._lock = FileLock(folder / f"gpu-{name}.lock", timeout=0)
        self._holder = folder / f"gpu-{name}.json"

    def __enter__(self) -> GpuLock:
        what = f"GPU {self._gpu.index} ({self._gpu.name})"
        try:
            self._holder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout:
            raise GpuBusyError(f"{what} is in use by another dsabench: {self._holder_text()}") from None
        except OSError as error:
            raise GpuBusyError(
                f"{what} cannot be locked in {self._holder.parent}: {error.strerror or error}"
            ) from error
        holder = {
            "pid": os.getpid(),
            "command": self._command,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            self._holder.write_text(json.dumps(holder))
        except OSError:
            self._holder.unlink(missing_ok=True)  # it only explains; a wrong one would name somebody else
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def _holder_text(self) -> str:
        try:
            holder: dict[str, Any] = json.loads(self._holder.read_text())
            return f"process {holder['pid']} since {holder['since']}, {holder['command']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "it does not say which"


def lock_folder() -> Path:
    """Of this user and machine; no cache folder, which machines may share and users may move."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"dsabench-{user}"
