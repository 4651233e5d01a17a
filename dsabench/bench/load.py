"""How much of the CPUs other processes take while something is measured."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

_STAT = Path("/proc/stat")
NOTICEABLE_CORES = 0.25
"""Below this the neighbours cost less than the noise of a trial; above it the trial says so."""


@dataclass(frozen=True)
class LoadSnapshot:
    """CPU seconds so far, over the CPUs this process may use: `busy` of everybody, `own` of this process, at wall time `at`."""

    busy: float
    own: float
    at: float


def load_snapshot() -> LoadSnapshot | None:
    """None where /proc/stat cannot be read."""
    try:
        text = _STAT.read_text()
    except OSError:
        return None
    return LoadSnapshot(_busy_seconds(text, os.sched_getaffinity(0)), time.process_time(), time.monotonic())


def _busy_seconds(stat: str, cpus: set[int]) -> float:
    ticks = 0
    for line in stat.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cpus:
            user, nice, system, _idle, _iowait, irq, softirq, steal = (int(f) for f in fields[:8])
            ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def cores_taken(before: LoadSnapshot | None, after: LoadSnapshot | None) -> float:
    """How many cores others (and the hypervisor) held on average between two snapshots; 0 when unknown or the stretch was
    too short for the kernel's 10 ms ticks to tell."""
    if before is None or after is None or after.at - before.at < 0.1:
        return 0.0
    others = (after.busy - before.busy) - (after.own - before.own)
    return max(0.0, others / (after.at - before.at))


def load_note(cores: float, total: int) -> str:
    """A remark for the journal, "" when the neighbours were quiet."""
    return f"{cores:.1f} of {total} cores were busy with other processes" if cores >= NOTICEABLE_CORES else ""
