"""The headers that TileLang's CUDA C++ includes: its own templates, CUTLASS's, CUDA's and libcu++. None of it needs nvcc or a system's
toolkit; where there is one, it serves."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
from pathlib import Path

from dsabench.kernels.cuda.nvrtc import nvrtc_version

_WHERE = "pip install 'dsabench[tilelang]' brings them"
_WANTED = ("cuda.h", "cuda_fp8.h", "crt/host_defines.h")
_STANDARD = "cuda/std/cstdint"


class TileLangMissingError(Exception):
    """TileLang, or what its kernels include, is not here; the message is one line and names the pip extra that brings it."""


@functools.cache
def include_folders() -> tuple[Path, ...]:
    """In the order in which NVRTC is to look. Raises TileLangMissingError, NvrtcMissingError."""
    package = tilelang_folder()
    own = (package / "src", package / "3rdparty" / "cutlass" / "include")
    return (*own, *cuda_folders())


def tilelang_folder() -> Path:
    """Where TileLang is installed, found without importing it. Raises TileLangMissingError."""
    spec = importlib.util.find_spec("tilelang")
    if spec is None or not spec.submodule_search_locations:
        raise TileLangMissingError("TileLang is not installed: pip install 'dsabench[tilelang]'")
    return Path(next(iter(spec.submodule_search_locations)))


def cuda_folders() -> tuple[Path, ...]:
    """CUDA's headers and libcu++'s, of NVRTC's major version: NVIDIA's wheels first, then CUDA_HOME or CUDA_PATH, then
    /usr/local/cuda. Raises TileLangMissingError."""
    wanted = nvrtc_version().partition(".")[0]
    others = []
    for folder in _candidates():
        if not all((folder / name).is_file() for name in _WANTED):
            continue
        version = header_version(folder)
        if version.partition(".")[0] != wanted:
            others.append(f"CUDA {version} in {folder}")
            continue
        for standard in (folder / "cccl", folder):  # a folder of its own since CUDA 13
            if (standard / _STANDARD).is_file():
                return tuple(dict.fromkeys((folder, standard)))
        others.append(f"no libcu++ in {folder}")
    found = f" ({'; '.join(others)})" if others else ""
    raise TileLangMissingError(
        f"CUDA {wanted}'s headers, which TileLang's kernels include, are missing{found}: {_WHERE}"
    )


@functools.cache
def cuda_version() -> str:
    """`13.0`, of the headers that are included. Raises as `include_folders` does."""
    return header_version(cuda_folders()[0])


def _candidates() -> list[Path]:
    found = []
    nvidia = importlib.util.find_spec("nvidia")
    for place in nvidia.submodule_search_locations or () if nvidia else ():
        found += sorted(Path(place).glob("cu[0-9]*/include"), reverse=True)
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        if home:
            found += [Path(home) / "include", *sorted(Path(home).glob("targets/*/include"))]
    return found


def header_version(folder: Path) -> str:
    """As the folder's cuda.h says."""
    number = re.search(r"^#define CUDA_VERSION (\d+)", (folder / "cuda.h").read_text(), re.MULTILINE)
    return f"{int(number[1]) // 1000}.{int(number[1]) % 1000 // 10}" if number else "unknown"
