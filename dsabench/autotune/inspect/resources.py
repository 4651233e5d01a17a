"""What a compiled kernel takes from an SM: registers and local memory from cuobjdump, spills and warnings from ptxas's log."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_FUNCTION = re.compile(r"^\s*Function (\S+):\s*$\s*(.*)$", re.MULTILINE)
_ITEM = re.compile(r"\b(REG|STACK|LOCAL):(\d+)")
_SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
_SHARED = re.compile(r"(\d+) bytes smem")
_COMPILING = re.compile(r"Compiling entry function '(\w+)'")
_IN_FUNCTION = re.compile(r"in (?:the )?function '(\w+)'")
_PERFORMANCE = re.compile(
    r"ptxas\s+\w+\s*:\s*(\(C\d+\)\s*(?:Potential Performance Loss:|warpgroup\.wait is injected).*)"
)


class ResourceError(Exception):
    """cuobjdump or ptxas did not say what it should."""


@dataclass(frozen=True)
class Resources:
    """registers: of a thread; local_bytes: local memory of a thread, which Triton's kernels have for spills only."""

    registers: int
    local_bytes: int


@dataclass(frozen=True)
class PtxasLog:
    """spill_store_bytes, spill_load_bytes: over the whole code, each instruction once; shared_bytes: of a block, what the source
    declares; losses: ptxas's own warnings."""

    spill_store_bytes: int
    spill_load_bytes: int
    shared_bytes: int
    losses: tuple[str, ...]

    @property
    def serialized(self) -> bool:
        """wgmma instructions wait for one another, so that the tensor cores idle between them (C7510 to C7519)."""
        return any("wgmma" in loss and "serialized" in loss for loss in self.losses)


def read_resources(cubin: bytes, kernel: str, cuobjdump: str, timeout_s: float) -> Resources:
    """2 ms. Raises ResourceError. (cuobjdump's SHARED holds the 1 KB the system reserves for some kernels and 0 for others, and not
    what a launch asks for.)"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        done = subprocess.run(
            [cuobjdump, "--dump-resource-usage", str(path)], capture_output=True, text=True, timeout=timeout_s
        )
    items = {name: dict(_ITEM.findall(line)) for name, line in _FUNCTION.findall(done.stdout)}.get(kernel)
    if not items or set(items) != {"REG", "STACK", "LOCAL"}:
        said = " ".join((done.stderr or done.stdout).split())[:200]
        raise ResourceError(
            f"cuobjdump names no resources of {kernel} (exit code {done.returncode}): {said or 'nothing'}"
        )
    return Resources(int(items["REG"]), int(items["STACK"]) + int(items["LOCAL"]))


def kernel_log(log: str, kernel: str) -> str:
    """The lines of ptxas's log that are of one kernel among several, and those that name none."""
    kept, current = [], kernel
    for line in log.splitlines():
        started = _COMPILING.search(line)
        current = started[1] if started else current
        named = _IN_FUNCTION.search(line)
        if (named[1] if named else current) == kernel:
            kept.append(line)
    return "\n".join(kept)


def read_ptxas_log(log: str) -> PtxasLog:
    """Raises ResourceError when the log holds no figures: then the warnings may be missing too."""
    spills = _SPILLS.findall(log)
    if not spills:
        raise ResourceError("ptxas printed no figures of the kernel; is TRITON_DUMP_PTXAS_LOG known to this Triton?")
    losses = tuple(" ".join(loss.split()) for loss in _PERFORMANCE.findall(log))
    declared = sum(int(n) for n in _SHARED.findall(log))
    return PtxasLog(sum(int(s) for s, _ in spills), sum(int(l) for _, l in spills), declared, losses)
