"""A TileLang launch to a cubin for Hopper: lowered to CUDA C++, which NVRTC compiles. What is compiled ahead is what is launched."""

from __future__ import annotations

import atexit
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass

from dsabench.kernels.cuda.compile import ARCH, CompiledKernel, CudaCompileError, compile_source, parameter_bytes
from dsabench.kernels.cuda.nvrtc import reserve_for_headers
from dsabench.kernels.tilelang.facts import KernelFacts, check_launch
from dsabench.kernels.tilelang.headers import include_folders
from dsabench.kernels.tilelang.launch import NO_DESCRIPTORS, Constant, TileLangLaunch

PREFIX = "#include <tl_templates/cuda/nvrtc_std.h>\n#include <tl_templates/cuda/common.h>\n#pragma nv_hdrstop\n"
"""Names of the standard library that NVRTC lacks, in TileLang's words, and what every one of its headers includes."""
_OPTIONS = (f"--gpu-architecture={ARCH}", "-default-device", "-std=c++17", "--ptxas-options=-v")
_HEAP_BYTES = 768 * 2**20
"""A kernel with wgmma filled NVRTC's 256 MiB."""
_BYTES = {"8": 1, "16": 2, "32": 4, "64": 8}


@dataclass(frozen=True)
class CompiledProgram:
    """kernel: its cubin, PTX and log; facts: what launching it takes."""

    kernel: CompiledKernel
    facts: KernelFacts


def pass_configs(launch: TileLangLaunch) -> dict[str, Constant]:
    """All that a launch is lowered with."""
    return dict(sorted({**NO_DESCRIPTORS, **launch.pass_configs}.items()))


def options(configs: Mapping[str, Constant]) -> list[str]:
    """NVRTC's, without the folders of headers. Three pass configs are the compiler's business and none of the lowering's."""
    found = list(_OPTIONS)
    if configs.get("tl.enable_fast_math"):
        found.append("--use_fast_math")
    level = configs.get("tl.ptxas_register_usage_level")
    if level is not None:
        found.append(f"--ptxas-options=--register-usage-level={level}")
    return [*found, *shlex.split(str(configs.get("tl.device_compile_flags", "")))]


def compile_launch(launch: TileLangLaunch) -> CompiledProgram:
    """The kernel of a launch, checked against its arguments and grid. Raises LoweringError and what the program and TileLang raise,
    LaunchMismatchError, CudaCompileError, NvrtcMissingError, TileLangMissingError."""
    folders = [f"--include-path={folder}" for folder in include_folders()]
    from dsabench.kernels.tilelang.lowering import lower_program

    configs = pass_configs(launch)
    lowered = lower_program(launch.source, launch.constants, configs)
    check_launch(launch, lowered.facts)
    name = f"{launch.source.entry}.cu"
    kernel = _compile(PREFIX + lowered.source, name, lowered.facts.entry, [*options(configs), *folders])
    _check_parameters(launch, lowered.facts, kernel)
    return CompiledProgram(kernel, lowered.facts)


def _check_parameters(launch: TileLangLaunch, facts: KernelFacts, kernel: CompiledKernel) -> None:
    """That the order read from the lowered function is the machine code's."""
    expected = [8 if name in facts.buffers else _scalar_bytes(facts.scalars[name]) for name in facts.parameters]
    if parameter_bytes(kernel) != expected:
        raise AssertionError(
            f"{launch.source.file.name}, {launch.source.entry}: {facts.parameters} are not the parameters of {kernel.entry}"
        )


def _scalar_bytes(type_: str) -> int:
    return _BYTES[type_.lstrip("abcdefghijklmnopqrstuvwxyz")]


class _PrecompiledHeaders:
    """What PREFIX includes, kept by NVRTC from the second kernel of a process on: 1 s a kernel less, for 0.8 s and 97 MB in the
    temporary folder once. Without its end (`nv_hdrstop`) the headers of wgmma would be kept too, in 268 MB for each set of headers.
    No other process can use the file: NVRTC wants its heap at one address."""

    def __init__(self) -> None:
        self._folder = ""
        self._kernels = 0

    def options(self) -> list[str]:
        self._kernels += 1
        if self._kernels == 2 and reserve_for_headers(_HEAP_BYTES):
            self._folder = tempfile.mkdtemp(prefix="dsabench-pch-")
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        return ["-pch", f"-pch-dir={self._folder}"] if self._folder else []

    def give_up(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = ""


_precompiled = _PrecompiledHeaders()


def _compile(text: str, name: str, entry: str, given: list[str]) -> CompiledKernel:
    headers = _precompiled.options()
    try:
        return compile_source(text, name, entry, [*given, *headers])
    except CudaCompileError:
        if not headers:
            raise
        _precompiled.give_up()  # a full disk or heap, or what is wrong with the kernel: without them it will be said
        return compile_source(text, name, entry, given)
