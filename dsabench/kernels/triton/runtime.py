"""Where Triton kernels can run: on an NVIDIA GPU, or on CPU tensors in Triton's interpreter. Imports no Triton."""

from __future__ import annotations

import importlib.util
import os

import torch

from dsabench.kernels.cuda_driver import driver_devices

INTERPRET_ENV = "TRITON_INTERPRET"


def interpreting() -> bool:
    """Whether kernels run in Triton's interpreter. Triton decides when a kernel is decorated: set TRITON_INTERPRET=1 before
    the process starts."""
    return os.environ.get(INTERPRET_ENV, "").lower() in ("1", "true", "on", "y", "yes")


def device_types() -> tuple[str, ...]:
    return ("cpu",) if interpreting() else ("cuda",)


def unavailable() -> str | None:
    """None when Triton kernels run here, else why not and what would be needed."""
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed (it has wheels for Linux)"
    if interpreting():
        return None
    # Asked of the driver: torch would open a context on the GPU, in a process that only wants to know.
    devices = driver_devices() if torch.cuda.is_available() else []
    if not devices:
        return f"needs an NVIDIA GPU; {INTERPRET_ENV}=1 runs it in Triton's interpreter, slowly"
    major, minor = devices[0].capability
    return None if (major, minor) >= (9, 0) else f"written for sm_90, this GPU is sm_{major}{minor}"
