"""Where Triton kernels can run: on an NVIDIA GPU, or on CPU tensors in Triton's interpreter. Imports no Triton."""

from __future__ import annotations

import importlib.util
import os

import torch

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
    if not torch.cuda.is_available():
        return f"needs an NVIDIA GPU; {INTERPRET_ENV}=1 runs it in Triton's interpreter, slowly"
    major, minor = torch.cuda.get_device_capability()
    return None if (major, minor) >= (9, 0) else f"written for sm_90, this GPU is sm_{major}{minor}"
