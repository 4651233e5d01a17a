"""What this machine can and cannot run, and why: the facts behind `dsabench doctor`. Looks, changes nothing."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shutil
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from dsabench.bench.device import cpu_device
from dsabench.bench.finding import Finding
from dsabench.bench.gpu.checkup import extra, gpu_findings
from dsabench.bench.gpu.compile_cache import cache_folder
from dsabench.bench.load import NOTICEABLE_CORES, cores_taken, load_snapshot
from dsabench.bench.memory import available_bytes
from dsabench.kernels.cuda.nvrtc import NvrtcMissingError, nvrtc_version
from dsabench.kernels.cuda_driver import cuda_driver_version
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.ledger import UNVERIFIED, hardware_note, needs_hardware
from dsabench.kernels.machine import HIDE_ENV, cpu_device_key, cpu_isa
from dsabench.kernels.registry import get_implementation, get_op, implementation_names, op_names
from dsabench.kernels.tilelang.headers import TileLangMissingError, include_folders
from dsabench.kernels.triton.runtime import INTERPRET_ENV, interpreting
from dsabench.kernels.tuned_table import keyed_versions, nearest_entries, table_paths

LOOK_S = 0.5
TESTED = {"python": ((3, 11), (3, 13)), "torch": ((2, 11), (2, 13)), "triton": ((3, 6), (3, 7))}
"""The oldest and the newest minor version that the tests ran with (CONTRIBUTING.md says which combinations)."""
LARGE_CACHE_BYTES = 5 * 2**30
LITTLE_DISK_BYTES = 2 * 2**30
"""A run keeps journals of some MB and compiled kernels of 10 to 45 KB each."""
LITTLE_MEMORY_BYTES = 4 * 2**30
"""What one process that compiles may take before it is ended; most take 0.3 GB."""


@dataclass(frozen=True)
class RunsHere:
    """Whether an implementation runs on this machine: as it is (`yes`), only in Triton's interpreter, or not; reason: why not as it
    is, "" when it does."""

    state: Literal["yes", "interpreter", "no"]
    reason: str


def written_for(implementation: Implementation) -> tuple[str, ...]:
    """The devices an implementation is for. What its `device_types` says depends on TRITON_INTERPRET; this does not."""
    return ("cuda",) if needs_hardware(implementation) else implementation.device_types


def can_interpret(implementation: Implementation) -> bool:
    """Whether Triton's interpreter can run it here, given a process with TRITON_INTERPRET=1."""
    # A plan alone does not tell: CUDA C++ has one too, and nothing that interprets it.
    in_triton = implementation.emulated is interpreting or implementation.emulated()
    return in_triton and importlib.util.find_spec("triton") is not None


def runs_here(implementation: Implementation) -> RunsHere:
    reason = f"{INTERPRET_ENV} is set" if implementation.emulated() else implementation.unavailable()
    if reason is None and "cpu" not in written_for(implementation):
        import torch

        if not torch.cuda.is_available():
            reason = "needs an NVIDIA GPU"
    if reason is None:
        return RunsHere("yes", "")
    return RunsHere("interpreter" if can_interpret(implementation) else "no", reason)


def examine() -> list[Finding]:
    """All findings, in the order a reader wants them: device, packages, implementations, tables, room, disturbances."""
    return [
        *_device(),
        *_packages(),
        *gpu_findings(),
        *_triton(),
        *_cuda_cpp(),
        *_implementations(),
        *_hardware(),
        *_tables(),
        *_room(),
        *_disturbances(),
    ]


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
    findings = [version_finding("python", sys.version.split()[0])]
    for name, advice in (
        ("torch", "pip install torch"),
        ("numba", "pip install numba; without it only `torch` implementations run on the CPU"),
        ("triton", "pip install triton (Linux only)"),
        ("tilelang", "pip install 'dsabench[tilelang]'"),
        ("cupy", f"pip install {extra(cuda_driver_version() or '')}"),
    ):
        version = _version(name)
        if version:
            findings.append(version_finding(name, version))
        else:
            findings.append(Finding(name, "note", "not installed", advice))
    return findings


def version_finding(name: str, version: str) -> Finding:
    """version: as the package says it, e.g. `2.13.0+cu130`; a note where it is outside TESTED."""
    if name not in TESTED:
        return Finding(name, "ok", version)
    oldest, newest = TESTED[name]
    minor = tuple(int(n) for n in re.findall(r"\d+", version)[:2])
    if oldest <= minor <= newest:
        return Finding(name, "ok", version)
    span = " to ".join(".".join(str(n) for n in end) for end in (oldest, newest))
    return Finding(name, "note", f"{version} is untested", f"tested with {name} {span}")


def _version(package: str) -> str | None:
    candidates = ("cupy-cuda13x", "cupy-cuda12x", "cupy") if package == "cupy" else (package,)
    for name in candidates:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _triton() -> list[Finding]:
    """What can be done with Triton here, from its files alone: importing it takes a second."""
    spec = importlib.util.find_spec("triton")
    if spec is None or not spec.submodule_search_locations:
        return [
            Finding(
                "triton kernels",
                "note",
                "without Triton they can neither run, nor be compiled (inspect), nor be interpreted (verify)",
                "pip install triton (Linux only)",
            )
        ]
    findings = []
    own = Path(spec.submodule_search_locations[0]) / "backends" / "nvidia" / "bin"
    missing = []
    for tool in ("ptxas", "cuobjdump"):
        path = _cuda_tool(tool, own)
        if path is None:
            missing.append(tool)
        else:
            findings.append(Finding(tool, "ok", str(path)))
    if missing:
        text = f"{' and '.join(missing)} not found: `dsabench inspect` cannot compile and read kernels for sm_90a"
        advice = f"install Triton from its wheel, or set {' and '.join(_tool_variable(tool) for tool in missing)}"
        findings.append(Finding("inspect", "missing", text, advice))
    else:
        findings.append(Finding("inspect", "ok", "compiles every triton config for sm_90a, with or without a GPU"))
    broken = _interpreter_fault()
    if broken:
        findings.append(Finding("interpreter", "note", *broken))
    else:
        text = "runs triton kernels on CPU tensors: `dsabench verify` by itself, library calls with "
        findings.append(Finding("interpreter", "ok", f"{text}{INTERPRET_ENV}=1"))
    if interpreting():
        text = f"{INTERPRET_ENV} is set: triton kernels are interpreted, on a GPU's tensors too, and never timed"
        findings.append(Finding("interpreter", "note", text, f"unset {INTERPRET_ENV} to run them on a GPU"))
    return findings


def _cuda_cpp() -> list[Finding]:
    """What compiles CUDA C++ here, and what TileLang's includes: packages of whatever version may lie beside a library that does not
    load, or without the headers."""
    try:
        version = nvrtc_version()
    except NvrtcMissingError as error:
        text, _, advice = str(error).rpartition(": ")
        return [Finding("nvrtc", "note", text, advice)]
    findings = [Finding("nvrtc", "ok", f"{version} compiles CUDA C++ for sm_90a, with or without a GPU")]
    if _version("tilelang"):
        try:
            include_folders()
        except TileLangMissingError as error:
            text, _, advice = str(error).rpartition(": ")
            findings.append(Finding("tilelang kernels", "note", text, advice))
        else:
            findings.append(Finding("tilelang kernels", "ok", "lowered to CUDA C++ for NVRTC, with or without a GPU"))
    return findings


def _tool_variable(tool: str) -> str:
    return f"TRITON_{tool.upper()}_PATH"


def _cuda_tool(tool: str, own: Path) -> Path | None:
    """Where Triton finds a CUDA tool: its variable first, then its own copy; it never looks at the PATH."""
    for candidate in (os.environ.get(_tool_variable(tool)), str(own / tool)):
        if candidate and os.access(candidate, os.X_OK):
            return Path(candidate)
    return None


def _interpreter_fault() -> tuple[str, str] | None:
    """(what fails, what helps) with the installed versions."""
    triton, numpy = (tuple(int(n) for n in (_version(p) or "0.0").split(".")[:2]) for p in ("triton", "numpy"))
    if triton < (3, 7) and numpy >= (2, 4):
        return (
            "Triton before 3.7 with NumPy from 2.4 cannot interpret loops whose bounds are known at run time only",
            "pip install 'numpy<2.4', or Triton 3.7",
        )
    return None


def _implementations() -> list[Finding]:
    findings = []
    for op in op_names():
        runs, emulated, cannot = [], [], []
        for name in implementation_names(op):
            here = runs_here(get_implementation(op, name))
            if here.state == "yes":
                runs.append(name)
            elif here.state == "interpreter":
                emulated.append(f"{name} ({here.reason})")
            else:
                cannot.append(f"{name}: {here.reason}")
        parts = [f"runs here: {', '.join(runs) or 'nothing'}"]
        parts += [f"in the interpreter only: {', '.join(emulated)}"] if emulated else []
        parts += [f"not: {'; '.join(cannot)}"] if cannot else []
        findings.append(Finding(op, "ok" if runs else "missing", "; ".join(parts)))
    return findings


def _hardware() -> list[Finding]:
    """One finding for all kernels that need a GPU's proof: those without one by name, or where each was proved."""
    notes = {
        implementation.id: hardware_note(op, name)
        for op in op_names()
        for name in implementation_names(op)
        if needs_hardware(implementation := get_implementation(op, name))
    }
    unproved = [name for name, note in notes.items() if note == UNVERIFIED]
    findings = [Finding("hardware", "ok", f"{name} {note}") for name, note in notes.items() if note != UNVERIFIED]
    if unproved:
        findings.append(Finding("hardware", "note", f"{UNVERIFIED}: {', '.join(unproved)}"))
    return findings


def _tables() -> list[Finding]:
    key = cpu_device_key()
    findings = [Finding("device key", "ok", key)]
    untuned = [op for op in op_names() if not nearest_entries(key, op, get_op(op).complete_axes({}))]
    places = ", ".join(str(p) for p in table_paths(key)) or "none found"
    if not untuned:
        findings.append(Finding("tuned tables", "ok", f"every op; from {places}"))
    else:
        versions = ", ".join(f"{name} {version}" for name, version in keyed_versions(key).items())
        text = f"no entry holds for {', '.join(untuned)} (this device, these sources, {versions}); files: {places}"
        findings.append(Finding("tuned tables", "note", text, "dsabench tune"))
    return findings


def _room() -> list[Finding]:
    folder = cache_folder()
    return [
        cache_finding(folder),
        disk_finding(folder, free_bytes(folder)),
        memory_finding(available_bytes()),
    ]


def cache_finding(folder: Path) -> Finding:
    """folder: Triton's cache of compiled kernels, which need not exist."""
    kernels = sum(1 for _ in folder.glob("*/*.cubin"))
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # another run may be at work in it
            size += path.stat().st_size if path.is_file() else 0
    text = f"{kernels} compiled kernels, {size / 2**20:.0f} MiB in {folder}"
    if size > LARGE_CACHE_BYTES:
        return Finding("compile cache", "note", text, "delete the folder; what is needed is compiled again")
    return Finding("compile cache", "ok", text)


def free_bytes(folder: Path) -> int:
    """Of the file system that holds `folder`, or would."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def disk_finding(folder: Path, free: int) -> Finding:
    text = f"{free / 2**30:.1f} GiB free at {folder}"
    if free < LITTLE_DISK_BYTES:
        return Finding("disk", "note", text, "make room, or name another folder in DSABENCH_CACHE_DIR")
    return Finding("disk", "ok", text)


def memory_finding(available: int) -> Finding:
    text = f"{available / 2**30:.1f} GiB of the machine's memory are free"
    if available < LITTLE_MEMORY_BYTES:
        return Finding("memory", "note", f"{text}: trials and compiles may end as OUT_OF_MEMORY", "end what else runs")
    return Finding("memory", "ok", text)


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
    return findings
