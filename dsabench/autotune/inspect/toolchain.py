"""The compilers, and the NVIDIA tools that come with Triton's wheel, found without importing Triton and without a driver."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dsabench.kernels.cuda.nvrtc import NVRTC, NvrtcMissingError, nvrtc_version

TOOLS = ("ptxas", "cuobjdump", "nvdisasm")
VERSION_TIMEOUT_S = 60.0


class ToolchainError(Exception):
    """A part of the toolchain is missing; the message names it and what to do."""


@dataclass(frozen=True)
class Toolchain:
    """paths: of each of TOOLS; versions: of `triton`, of each tool, and of `nvrtc` and `tilelang` where they are."""

    paths: dict[str, str]
    versions: dict[str, str]


def find_toolchain() -> Toolchain:
    """Triton's own tools, or those that TRITON_PTXAS_PATH, TRITON_CUOBJDUMP_PATH and TRITON_NVDISASM_PATH name. Raises
    ToolchainError when Triton or a tool is missing or does not run; where Triton itself would silently take its own tool
    instead of the one named, this does not: the facts would be another compiler's."""
    spec = importlib.util.find_spec("triton")
    if spec is None or not spec.submodule_search_locations:
        raise ToolchainError("Triton is not installed, and it is the compiler: pip install triton (wheels for Linux)")
    folder = Path(next(iter(spec.submodule_search_locations))) / "backends" / "nvidia" / "bin"
    paths = {}
    versions = {"triton": importlib.metadata.version("triton")}
    for tool in TOOLS:
        variable = f"TRITON_{tool.upper()}_PATH"
        named = os.environ.get(variable)
        path = Path(named) if named else folder / tool
        advice = f"correct or unset {variable}" if named else f"reinstall triton, or name one in {variable}"
        if not path.is_file():
            raise ToolchainError(f"{tool} not found at {path}; {advice}")
        versions[tool] = _version(tool, path, advice)
        paths[tool] = str(path)
    with contextlib.suppress(NvrtcMissingError):  # said of the launches that want it
        versions[NVRTC] = nvrtc_version()
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        versions["tilelang"] = importlib.metadata.version("tilelang")
    return Toolchain(paths, versions)


def _version(tool: str, path: Path, advice: str) -> str:
    try:
        done = subprocess.run(
            [str(path), "--version"], capture_output=True, text=True, timeout=VERSION_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolchainError(f"{tool} at {path} does not run: {' '.join(str(error).split())}; {advice}") from error
    found = re.search(r"\bV(\d+(?:\.\d+)+)", done.stdout)
    if found is None:
        raise ToolchainError(f"{path} is not NVIDIA's {tool}; {advice}")
    return found[1]
