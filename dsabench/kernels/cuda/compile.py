"""A CUDA source and its constants to a cubin for Hopper, by NVRTC: 0.1 s for a small kernel, no driver."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dsabench.kernels.cuda.includes import INCLUDE_FOLDER
from dsabench.kernels.cuda.nvrtc import run_nvrtc
from dsabench.kernels.cuda.source import Argument, CudaLaunch, CudaSource

ARCH = "sm_90a"
"""`sm_90` without the "a" has no wgmma."""
_OPTIONS = ("-std=c++20", "--ptxas-options=-v")
_ERROR = re.compile(r"^(.*)\((\d+)\): (?:catastrophic )?error: *(.*)$", re.MULTILINE)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENTRY = re.compile(r"^\.visible \.entry (\w+)\((.*?)\n?\)(.*?)\{", re.MULTILINE | re.DOTALL)
_PARAMETER = re.compile(r"\.param (?:\.align \d+ )?\.(\w+) (?:\.ptr\S* )?\w+(?:\[(\d+)\])?")
_CLUSTER = re.compile(r"\.reqnctapercluster (\d+)")
_TYPE_BYTES = {"8": 1, "16": 2, "32": 4, "64": 8}


class CudaCompileError(Exception):
    """NVRTC refused a source, or the source does not fit its launch; one line. log: all that NVRTC said."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True)
class CompiledKernel:
    """cubin: a whole ELF file; log: NVRTC's and ptxas's, with registers and spills."""

    entry: str
    cubin: bytes
    ptx: str
    log: str


def macros(launch: CudaLaunch) -> dict[str, int]:
    """The macros a launch's source is compiled with: its constants and CLUSTER. Raises ValueError for a name that is no macro's or
    a value that is no int."""
    found: dict[str, int] = {}
    given: Mapping[str, int] = launch.constants
    for name, value in given.items():
        if not _NAME.fullmatch(name) or name == "CLUSTER":
            raise ValueError(f"{launch.source.file.name}: {name!r} is no name for a constant")
        if not isinstance(value, int):
            raise ValueError(f"{launch.source.file.name}: constant {name} must be an int or a bool, got {value!r}")
        found[name] = int(value)
    if launch.cluster is not None:
        found["CLUSTER"] = launch.cluster
    return dict(sorted(found.items()))


def options(constants: Mapping[str, int]) -> list[str]:
    """NVRTC's options: architecture, standard, and the macros."""
    defines = [f"--define-macro={name}={value}" for name, value in constants.items()]
    return [f"--gpu-architecture={ARCH}", *_OPTIONS, *defines]


def compile_launch(launch: CudaLaunch) -> CompiledKernel:
    """The kernel of a launch, checked against the launch's arguments and cluster. Raises CudaCompileError with the compiler's first
    error or what does not fit, OSError where the file cannot be read, NvrtcMissingError, and as `macros` does."""
    kernel = _compile_source(launch.source, macros(launch))
    _check_launch(launch, kernel)
    return kernel


def _compile_source(source: CudaSource, constants: Mapping[str, int]) -> CompiledKernel:
    folders = [f"--include-path={folder}" for folder in (source.file.parent.resolve(), INCLUDE_FOLDER)]
    return compile_source(source.file.read_text(), source.file.name, source.entry, [*options(constants), *folders])


def compile_source(text: str, name: str, entry: str, options: Sequence[str]) -> CompiledKernel:
    """The kernel `entry` of CUDA C++ that messages call `name`. Raises CudaCompileError, NvrtcMissingError."""
    result = run_nvrtc(text, name, options)
    if not result.ok:
        raise CudaCompileError(_first_error(name, result.log), result.log)
    if entry not in {found for found, _, _ in _ENTRY.findall(result.ptx)}:
        raise CudaCompileError(f'{name} has no extern "C" __global__ function {entry}', result.log)
    return CompiledKernel(entry, result.cubin, result.ptx, result.log)


def parameter_bytes(kernel: CompiledKernel) -> list[int]:
    """Sizes of the kernel's parameters, in order, as its PTX declares them."""
    parameters, _ = _signature(kernel)
    return [_bytes(kind, length) for kind, length in _PARAMETER.findall(parameters)]


def _signature(kernel: CompiledKernel) -> tuple[str, str]:
    """(parameters, attributes) in the PTX."""
    return next(
        (parameters, attributes) for name, parameters, attributes in _ENTRY.findall(kernel.ptx) if name == kernel.entry
    )


def _first_error(name: str, log: str) -> str:
    found = _ERROR.search(log)
    if found:
        file, line, message = found.groups()
        return f"{file}, line {line}: {message[:200]}"
    lines = [line.strip() for line in log.splitlines() if "error" in line.lower() or "fatal" in line.lower()]
    return f"{name}: {lines[0][:200] if lines else 'NVRTC failed without a word'}"


def _check_launch(launch: CudaLaunch, kernel: CompiledKernel) -> None:
    """What CuPy and the driver cannot know would read past the arguments, or run other clusters than were planned."""
    expected = parameter_bytes(kernel)
    given = [argument_bytes(argument) for argument in launch.arguments]
    if given != expected:
        raise CudaCompileError(
            f"{launch.source.file.name}: {kernel.entry} takes parameters of {_words(expected)} bytes, the launch gives {_words(given)}"
        )
    cluster = _CLUSTER.search(_signature(kernel)[1])
    if (int(cluster[1]) if cluster else None) != launch.cluster:
        declared = f"__cluster_dims__({cluster[1]})" if cluster else "no __cluster_dims__"
        raise CudaCompileError(
            f"{launch.source.file.name}: {kernel.entry} has {declared}, the launch has cluster={launch.cluster}"
        )


def _bytes(kind: str, length: str) -> int:
    """Of a PTX parameter: `u32`, `f64`, `b8` with a length for a struct."""
    return _TYPE_BYTES[kind.lstrip("usbf")] * int(length or 1)


def argument_bytes(argument: Argument) -> int:
    """Raises TypeError for what has no C type, a Python int or float among them."""
    if isinstance(argument, torch.Tensor) or argument is None:
        return 8
    if isinstance(argument, np.number):
        return int(argument.itemsize)
    raise TypeError(
        f"a kernel's argument is a tensor, None or a NumPy scalar of the parameter's type, got {argument!r}"
    )


def _words(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes)) or "no"
