"""What this machine can and cannot run, and why: the facts behind `dsabench doctor`. Looks, changes nothing."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from dsabench.bench.device import cpu_device
from dsabench.bench.load import NOTICEABLE_CORES, cores_taken, load_snapshot
from dsabench.kernels.machine import HIDE_ENV, cpu_device_key, cpu_isa
from dsabench.kernels.registry import get_implementation, get_op, implementation_names, op_names
from dsabench.kernels.tuned_table import keyed_versions, nearest_entries, table_paths

State = Literal["ok", "note", "missing"]
LOOK_S = 0.5


@dataclass(frozen=True)
class Finding:
    """One fact. state: ok, note (works, but know this) or missing (something cannot run; `advice` says what would help)."""

    subject: str
    state: State
    text: str
    advice: str = ""


def examine() -> list[Finding]:
    """All findings, in the order a reader wants them: device, packages, implementations, tables, disturbances."""
    return [*_device(), *_packages(), *_gpu(), *_implementations(), *_tables(), *_disturbances()]


def _device() -> list[Finding]:
    device = cpu_device()
    isa = ", ".join(device.isa) or "none that the kernels look at"
    findings = [
        Finding(
            "cpu", "ok", f"{device.name}, {device.cores} usable CPUs, {device.memory_bytes / 2**30:.0f} GiB memory"
        ),
        Finding("cpu extensions", "ok", isa),
    ]
    if "avx512_bf16" not in cpu_isa():
        findings.append(
            Finding("bf16 products", "note", "no avx512_bf16: CPU products run in f32, at half the rate or less")
        )
    if os.environ.get(HIDE_ENV):
        findings.append(Finding("cpu extensions", "note", f"{HIDE_ENV}={os.environ[HIDE_ENV]} hides extensions"))
    return findings


def _packages() -> list[Finding]:
    findings = [Finding("python", "ok", sys.version.split()[0])]
    for name, advice in (
        ("torch", "pip install torch"),
        ("numba", "pip install numba; without it only `torch` implementations run on the CPU"),
        ("triton", "pip install triton (Linux only)"),
        ("tilelang", "pip install 'dsabench[tilelang]'"),
        ("cupy", "pip install 'dsabench[cuda13]' or 'dsabench[cuda12]', as the driver allows"),
    ):
        version = _version(name)
        if version:
            findings.append(Finding(name, "ok", version))
        else:
            findings.append(Finding(name, "note", "not installed", advice))
    return findings


def _version(package: str) -> str | None:
    candidates = ("cupy-cuda13x", "cupy-cuda12x", "cupy") if package == "cupy" else (package,)
    for name in candidates:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _gpu() -> list[Finding]:
    try:
        ctypes.CDLL("libcuda.so.1")
        driver = True
    except OSError:
        driver = False
    if not driver:
        return [Finding("gpu", "note", "no NVIDIA driver (libcuda.so.1): the CPU is the device", "")]
    import torch

    if not torch.cuda.is_available():
        text = f"a driver is here but torch {torch.__version__} cannot use it"
        return [Finding("gpu", "missing", text, "install a CUDA build of torch that this driver supports")]
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [Finding("gpu", "ok", ", ".join(names))]


def _implementations() -> list[Finding]:
    findings = []
    for op in op_names():
        runs, cannot = [], []
        for name in implementation_names(op):
            implementation = get_implementation(op, name)
            reason = implementation.unavailable()
            if reason is None and "cpu" not in implementation.device_types:
                reason = f"runs on {' or '.join(implementation.device_types)} only"
            if reason is None:
                runs.append(name)
            else:
                cannot.append(f"{name}: {reason}")
        state: State = "ok" if runs else "missing"
        text = f"runs here: {', '.join(runs) or 'nothing'}" + (f"; not: {'; '.join(cannot)}" if cannot else "")
        findings.append(Finding(op, state, text))
    return findings


def _tables() -> list[Finding]:
    key = cpu_device_key()
    findings = [Finding("device key", "ok", key)]
    untuned = [op for op in op_names() if not nearest_entries(key, op, get_op(op).complete_axes({}))]
    places = ", ".join(str(p) for p in table_paths(key)) or "none found"
    if not untuned:
        findings.append(Finding("tuned tables", "ok", f"every op; from {places}"))
    else:
        versions = ", ".join(f"{name} {version}" for name, version in keyed_versions().items())
        text = f"no entry holds for {', '.join(untuned)} (this device, these sources, {versions}); files: {places}"
        findings.append(Finding("tuned tables", "note", text, "dsabench tune"))
    return findings


def _disturbances() -> list[Finding]:
    before = load_snapshot()
    time.sleep(LOOK_S)
    busy = cores_taken(before, load_snapshot())
    findings = []
    if before is None:
        findings.append(Finding("load", "note", "cannot be read on this system; timings may be disturbed unseen"))
    elif busy >= NOTICEABLE_CORES:
        text = f"{busy:.1f} cores are busy with other processes: timings will be slower and noisier"
        findings.append(Finding("load", "note", text, "measure when the machine is quiet"))
    else:
        findings.append(Finding("load", "ok", f"{busy:.2f} cores busy with other processes"))
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        if os.environ.get(name):
            findings.append(Finding(name, "note", f"{os.environ[name]}; workers set their own GOMP_SPINCOUNT"))
    if importlib.util.find_spec("triton") is None and shutil.which("ptxas") is None:
        findings.append(
            Finding("ptxas", "note", "neither triton nor a CUDA toolkit is here: GPU kernels cannot be compiled")
        )
    return findings
