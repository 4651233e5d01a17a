"""Where results come from: package versions and the commit of the source tree."""

from __future__ import annotations

import contextlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Literal

from dsabench.kernels.cuda.nvrtc import NVRTC, NvrtcMissingError, nvrtc_version
from dsabench.kernels.cuda_driver import CUDA_DRIVER, cuda_driver_version

_PACKAGES = ("dsabench", "torch", "numba", "llvmlite", "numpy", "scipy", "triton")
_CUDA_PACKAGES = ("tilelang", "cupy-cuda13x", "cupy-cuda12x", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")


def package_versions(device_type: Literal["cpu", "cuda"] = "cpu") -> dict[str, str]:
    """Versions of Python, of the packages that shape results and, on a GPU, of those that write, compile and launch CUDA C++, of the
    NVRTC that is found (`nvrtc`) and of the CUDA that its driver runs (`cuda_driver`): all that a tuned table's entries are keyed
    by. What is not here is left out."""
    found = {"python": platform.python_version()}
    for name in (*_PACKAGES, *(_CUDA_PACKAGES if device_type == "cuda" else ())):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    if device_type == "cuda":
        with contextlib.suppress(NvrtcMissingError):
            found[NVRTC] = nvrtc_version()
        if (driver := cuda_driver_version()) is not None:
            found[CUDA_DRIVER] = driver
    return found


def git_commit() -> str:
    """Commit of the checkout this package is imported from, `-dirty` when tracked files differ; `unknown` outside one."""
    root = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        # Installed into a virtual environment that lies inside somebody's checkout, the package is not part of it.
        if not git("ls-files", "--", str(Path(__file__))):
            return "unknown"
        commit = git("rev-parse", "HEAD")
        return commit + ("-dirty" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
