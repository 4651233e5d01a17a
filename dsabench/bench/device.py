"""The device that trials run on, as the journal records it, and the environment its worker gets."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from dsabench.bench.records import DeviceRecord
from dsabench.kernels.machine import cpu_device_key, cpu_isa, cpu_name, usable_cpus

if TYPE_CHECKING:
    from dsabench.bench.gpu.selection import Gpu

ASSUMED_CACHE_BYTES = 32 * 2**20
LEAST_CAPABILITY = (9, 0)
_DEVICE = re.compile(r"^(auto|cpu|cuda(:\d+)?)$")


class DeviceError(ValueError):
    """A device that is not known or cannot be used here."""


def resolve_device(text: str) -> str:
    """`auto`, `cpu`, `cuda` or `cuda:i` → `cpu`, or `cuda:i` with the GPU's number as torch counts. `auto` is the first GPU that the
    kernels are written for, else the CPU. Makes no CUDA context. Raises DeviceError when nothing here runs on the device."""
    if not _DEVICE.match(text):
        raise DeviceError(f"unknown device {text!r}; choose auto, cpu, cuda or cuda:0")
    if text == "cpu":
        return text
    try:
        gpus = _usable_gpus()
    except DeviceError as error:
        if text == "auto":
            return "cpu"
        raise DeviceError(f"device {text}: {error}") from error.__cause__
    if text == "auto":
        return next((f"cuda:{gpu.index}" for gpu in gpus if gpu.capability >= LEAST_CAPABILITY), "cpu")
    index = int(text.partition(":")[2] or 0)
    if index >= len(gpus):
        known = ", ".join(f"cuda:{gpu.index} ({gpu.name})" for gpu in gpus)
        raise DeviceError(f"device {text}: there is no such GPU here, only {known}")
    gpu = gpus[index]
    if gpu.capability < LEAST_CAPABILITY:
        has, least = ("".join(str(n) for n in version) for version in (gpu.capability, LEAST_CAPABILITY))
        raise DeviceError(
            f"device {text}: the {gpu.name} is sm_{has}, the kernels are written for sm_{least} and later"
        )
    return f"cuda:{index}"


def _usable_gpus() -> list[Gpu]:
    """The GPUs that torch finds, at least one. Raises DeviceError that says why there is none."""
    import torch

    from dsabench.bench.gpu.selection import VISIBLE_ENV, visible_gpus
    from dsabench.kernels.cuda_driver import CudaDriverError, cuda_driver_version
    from dsabench.kernels.triton.runtime import INTERPRET_ENV, interpreting

    if interpreting():
        raise DeviceError(f"{INTERPRET_ENV} is set, so kernels run in Triton's interpreter; unset it")
    try:
        gpus = visible_gpus()
    except CudaDriverError as error:
        raise DeviceError(f"the NVIDIA driver does not work: {error}") from error
    if not gpus:
        visible = os.environ.get(VISIBLE_ENV)
        hidden = f" that {VISIBLE_ENV}={visible} leaves" if visible is not None else ""
        raise DeviceError(f"there is no NVIDIA GPU here{hidden}")
    if torch.version.cuda is None:
        raise DeviceError(f"torch {torch.__version__} is built without CUDA; install a CUDA build of torch")
    if not torch.cuda.is_available():
        raise DeviceError(
            f"torch {torch.__version__} for CUDA {torch.version.cuda} cannot use the NVIDIA driver, which runs CUDA "
            f"{cuda_driver_version()}; update the driver or install a build of torch for that CUDA"
        )
    return gpus


def cpu_device() -> DeviceRecord:
    cache, how = last_level_cache()
    details = {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "logical_cpus": str(os.cpu_count()),
        "last_level_cache_from": how,
        **_linux_details(),
    }
    details |= {f"env.{name}": value for name, value in worker_environment().items()}
    return DeviceRecord(
        type="cpu",
        key=cpu_device_key(),
        name=cpu_name(),
        cores=usable_cpus(),
        isa=list(cpu_isa()),
        memory_bytes=int(psutil.virtual_memory().total),
        last_level_cache_bytes=cache,
        threads=usable_cpus(),
        details=details,
    )


def worker_environment() -> dict[str, str]:
    """What a worker must find in its environment before torch and numba are imported."""
    threads = str(usable_cpus())
    return {
        # OpenMP threads that spin while another process holds their core turned 4 ms into 600; giving up after 20,000 turns
        # costs little on a quiet machine and is ten times faster on a busy one.
        "GOMP_SPINCOUNT": "20000",
        "OMP_NUM_THREADS": threads,
        "NUMBA_NUM_THREADS": threads,
    }


def last_level_cache() -> tuple[int, str]:
    """Bytes of last-level cache over the CPUs this process may use, and where the figure is from."""
    sizes: dict[tuple[int, str], int] = {}
    cpus = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    for cpu in cpus:
        for index in Path(f"/sys/devices/system/cpu/cpu{cpu}/cache").glob("index*"):
            try:
                if (index / "type").read_text().strip() == "Instruction":
                    continue
                level = int((index / "level").read_text())
                shared = (index / "shared_cpu_list").read_text().strip()
                sizes[level, shared] = _cache_size((index / "size").read_text().strip())
            except (OSError, ValueError):
                continue
    if sizes:
        top = max(level for level, _ in sizes)
        return sum(size for (level, _), size in sizes.items() if level == top), f"sysfs, level {top}"
    for name in ("hw.l3cachesize", "hw.perflevel0.l2cachesize", "hw.l2cachesize"):
        try:
            done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=True)
            return int(done.stdout), f"sysctl {name}"
        except (OSError, ValueError, subprocess.SubprocessError):
            continue
    return ASSUMED_CACHE_BYTES, "assumed"


def _cache_size(text: str) -> int:
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def _linux_details() -> dict[str, str]:
    """Frequency governor and a container's CPU quota, where they can be read."""
    found: dict[str, str] = {}
    for name, path in (
        ("governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        ("cpu_quota", "/sys/fs/cgroup/cpu.max"),
        ("transparent_hugepages", "/sys/kernel/mm/transparent_hugepage/enabled"),
    ):
        try:
            found[name] = Path(path).read_text().strip()
        except OSError:
            continue
    return found
