"""What the CPU at hand is: its name, the instruction-set extensions our kernels look at, and the key under which results
are kept. Light: imports neither torch nor numba."""

from __future__ import annotations

import functools
import os
import platform
import re
from pathlib import Path

# LLVM's feature names → the names we print. Order: what matters most first.
_FEATURES = {
    "avx512bf16": "avx512_bf16",
    "avx512vbmi": "avx512_vbmi",
    "avx512f": "avx512f",
    "avx2": "avx2",
    "fma": "fma",
    "bf16": "arm_bf16",
    "sve": "sve",
    "neon": "neon",
}
HIDE_ENV = "DSABENCH_HIDE_ISA"
"""Comma-separated extensions to ignore (`avx512_bf16,avx512_vbmi`, or `all`), to force a fallback on a newer CPU."""


@functools.cache
def cpu_isa() -> tuple[str, ...]:
    """The extensions that this CPU has and `DSABENCH_HIDE_ISA` does not hide, e.g. ("avx512_bf16", "avx512_vbmi", …).

    With NUMBA_CPU_NAME set, numba compiles for that CPU: only what NUMBA_CPU_FEATURES names counts then.
    Raises ValueError when DSABENCH_HIDE_ISA names an unknown extension.
    """
    hidden = {word for word in os.environ.get(HIDE_ENV, "").split(",") if word}
    unknown = hidden - set(_FEATURES.values()) - {"all"}
    if unknown:
        raise ValueError(
            f"{HIDE_ENV}: unknown extension {sorted(unknown)[0]!r}; known: all, {', '.join(_FEATURES.values())}"
        )
    if os.environ.get("NUMBA_CPU_NAME"):
        present = {
            f.removeprefix("+") for f in os.environ.get("NUMBA_CPU_FEATURES", "").split(",") if f.startswith("+")
        }
    else:
        from llvmlite.binding import get_host_cpu_features

        present = {name for name, on in get_host_cpu_features().items() if on}
    return tuple(
        ours for llvm, ours in _FEATURES.items() if llvm in present and ours not in hidden and "all" not in hidden
    )


@functools.cache
def cpu_name() -> str:
    """The processor's marketing name, with family and model where /proc/cpuinfo gives them (clouds hide the name)."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(re.findall(r"^([^\t:]+?)\s*:\s*(.*)$", text, flags=re.M))
    name = fields.get("model name") or fields.get("Hardware") or platform.machine()
    if "cpu family" in fields:
        return f"{name} (family {fields['cpu family']}, model {fields['model']})"
    return name


def usable_cpus() -> int:
    """Logical CPUs this process may run on (its affinity mask, not the machine's count)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_device_key() -> str:
    """Names CPUs whose results may be mixed: model, usable CPUs, best product extension. Safe as a file name."""
    isa = cpu_isa()
    best = next((e for e in ("avx512_bf16", "avx512f", "avx2", "arm_bf16", "neon") if e in isa), "portable")
    name = re.sub(r"[^a-z0-9]+", "-", cpu_name().lower()).strip("-")
    return f"cpu-{name}-{usable_cpus()}c-{best}"
