"""What stands between this machine and figures of a Hopper GPU: driver, torch's build, launcher, sensors, the state of each GPU.

Makes no CUDA context. Without a driver there is one finding, that there is none.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path

from dsabench.bench.finding import Finding
from dsabench.bench.gpu.busy import why_busy
from dsabench.bench.gpu.nvml import UNKNOWN, Sensor, open_sensor, why_no_nvml
from dsabench.bench.gpu.selection import VISIBLE_ENV, Gpu, visible_gpus
from dsabench.kernels import cuda_driver

_HOPPER = (9, 0)


def gpu_findings() -> list[Finding]:
    if cuda_driver.load_driver() is None:
        return [Finding("gpu", "note", "no NVIDIA driver (libcuda.so.1): the CPU is the device")]
    cuda = cuda_driver.cuda_driver_version() or UNKNOWN
    try:
        gpus = visible_gpus()
    except cuda_driver.CudaDriverError as error:
        return [Finding("driver", "missing", f"the NVIDIA driver does not work: {error}", "see what nvidia-smi says")]
    findings = [Finding("driver", "ok", f"runs CUDA {cuda}")]
    if not gpus:
        visible = os.environ.get(VISIBLE_ENV)
        hidden = f"; {VISIBLE_ENV}={visible}" if visible is not None else ""
        return [*findings, Finding("gpu", "note", f"a driver is here, but no GPU{hidden}: the CPU is the device")]
    import torch

    findings.append(torch_finding(torch.__version__, torch.version.cuda, torch.cuda.is_available(), cuda))
    findings += launcher_findings()
    blind = why_no_nvml()
    if blind:
        text = f"clocks, power and throttling cannot be sampled, nor other processes be seen: {blind}"
        advice = f"pip install {extra(cuda)}" if "not installed" in blind else "see what nvidia-smi says"
        findings.append(Finding("sensors", "note", text, advice))
    for gpu in gpus:
        findings += [chip_finding(gpu), *state_findings(gpu, open_sensor(gpu.visible))]
    return findings


def extra(cuda: str) -> str:
    """The extra of ours that fits a driver which runs CUDA `cuda`."""
    return "'dsabench[cuda12]'" if cuda.partition(".")[0] == "12" else "'dsabench[cuda13]'"


def torch_finding(version: str, built_for: str | None, usable: bool, cuda: str) -> Finding:
    """built_for: the CUDA of torch's build, None for a CPU build; usable: torch.cuda.is_available(); cuda: what the driver runs.
    A build runs on every driver of its CUDA's major version or a later one (CUDA minor version compatibility)."""
    subject = "torch's cuda"
    if built_for is None:
        text = f"torch {version} is a CPU build beside a driver that runs CUDA {cuda}"
        newest = "" if cuda == UNKNOWN else f", for CUDA {cuda.partition('.')[0]} or older"
        return Finding(subject, "missing", text, f"install a CUDA build of torch in its place{newest}")
    if usable:
        return Finding(subject, "ok", f"torch {version} for CUDA {built_for} on a driver that runs CUDA {cuda}")
    text = f"torch {version} for CUDA {built_for} cannot use the driver, which runs CUDA {cuda}"
    if cuda != UNKNOWN and int(built_for.partition(".")[0]) > int(cuda.partition(".")[0]):
        advice = f"update the driver (CUDA 13 needs 580 or newer), or install a build of torch for CUDA {cuda} or older"
    else:
        advice = "python -c 'import torch; torch.cuda.init()' says why"
    return Finding(subject, "missing", text, advice)


def launcher_findings() -> list[Finding]:
    """Triton builds its launcher with the machine's C compiler at the first launch (`triton.runtime.build`)."""
    findings = []
    named = os.environ.get("CC")
    compiler = shutil.which(named) if named is not None else shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        what = f"CC={named} does not exist" if named is not None else "there is no gcc and no clang"
        text = f"Triton builds its launcher at the first launch, and {what}"
        findings.append(Finding("c compiler", "missing", text, "install gcc, or name a C compiler in CC"))
    else:
        findings.append(Finding("c compiler", "ok", f"{compiler}, for Triton's launcher"))
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")
    header = Path(sysconfig.get_paths(scheme)["include"]) / "Python.h"
    if not header.is_file():
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        text = f"Triton builds its launcher at the first launch, and {header} does not exist"
        findings.append(Finding("python headers", "missing", text, f"install {name}-dev ({name}-devel)"))
    return findings


def chip_finding(gpu: Gpu) -> Finding:
    major, minor = gpu.capability
    text = f"{gpu.index}: {gpu.name}, sm_{major}{minor}, {gpu.sms} SMs"
    if gpu.capability < _HOPPER:
        return Finding("gpu", "note", f"{text}; the triton kernels are written for sm_90 and later")
    if gpu.capability > _HOPPER:
        return Finding(
            "gpu", "note", f"{text}; the triton kernels are written and compiled for sm_90a, not for this one"
        )
    return Finding("gpu", "ok", text)


def state_findings(gpu: Gpu, sensor: Sensor | None) -> list[Finding]:
    """What would show in the figures of a GPU as it is now; `sensor` None: only what its name tells."""
    subject = f"gpu {gpu.index}"
    facts = sensor.facts() if sensor else {}
    findings = []
    if gpu.visible.startswith("MIG-") or facts.get("mig") == "on":
        text = f"MIG is on: figures are of a slice of {gpu.sms} SMs, not of the chip"
        findings.append(
            Finding(subject, "note", text, "measure the whole GPU with MIG off (an administrator's decision)")
        )
    if sensor is None:
        return findings
    busy = why_busy(sensor, {os.getpid()})
    if busy:
        findings.append(Finding(subject, "note", f"busy: {busy}", "measure when nobody else uses it"))
    limit, usual = facts["power_limit_w"], facts["power_limit_default_w"]
    if UNKNOWN not in (limit, usual) and float(limit) < float(usual):
        findings.append(Finding(subject, "note", f"its power is limited to {limit} W, by default {usual} W"))
    if facts["clocks_limited_by_user"] == "yes":
        findings.append(Finding(subject, "note", "its clocks are set by a user (nvidia-smi -lgc or -ac)"))
    if not findings:
        told = "" if limit == UNKNOWN else f"; its power limit is {limit} W"
        findings.append(Finding(subject, "ok", f"free{told}"))
    return findings
