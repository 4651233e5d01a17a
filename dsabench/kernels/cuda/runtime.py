"""Where CUDA C++ kernels can run: on a Hopper GPU with CuPy to launch them and NVRTC to compile them."""

from __future__ import annotations

import importlib.util

import torch

from dsabench.kernels.cuda.nvrtc import NvrtcMissingError, nvrtc_version
from dsabench.kernels.cuda_driver import driver_devices


def unavailable() -> str | None:
    """None when CUDA C++ kernels run here, else why not and what would be needed."""
    # Asked of the driver: torch would open a context on the GPU, in a process that only wants to know.
    devices = driver_devices() if torch.cuda.is_available() else []
    if not devices:
        return "needs an NVIDIA GPU"
    major, minor = devices[0].capability
    if major != 9:  # sm_90a is Hopper's alone: its cubins load on nothing newer
        return f"written for sm_90a, this GPU is sm_{major}{minor}"
    if importlib.util.find_spec("cupy") is None:
        return f"needs CuPy: {install_hint()}"
    try:
        nvrtc_version()
    except NvrtcMissingError as error:
        return str(error)
    return None


def install_hint() -> str:
    """The command that brings CuPy and NVRTC for the CUDA that torch was built with."""
    major = (torch.version.cuda or "13").partition(".")[0]
    return f"pip install 'dsabench[cuda{major}]'"
