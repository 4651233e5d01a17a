"""Triton launches, compiled by Triton. Imports it."""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
from pathlib import Path
from typing import Any

import triton
from triton import knobs
from triton._C.libtriton import get_cache_invalidating_env_vars
from triton.backends.compiler import GPUTarget
from triton.compiler import make_backend
from triton.runtime.cache import get_cache_key

from dsabench.autotune.inspect.arch import Arch
from dsabench.autotune.inspect.disassemble import kernel_code
from dsabench.autotune.inspect.jobs import Compiled, PlannedLaunch
from dsabench.autotune.inspect.languages import TRITON
from dsabench.autotune.inspect.products import TritonProducts, dots
from dsabench.autotune.inspect.resources import read_ptxas_log, read_resources
from dsabench.autotune.inspect.source import source_and_options
from dsabench.autotune.inspect.toolchain import Toolchain
from dsabench.bench.gpu import compile_cache
from dsabench.kernels.triton.launch import Launch

_WARP = 32


class TritonCompiler:
    """See `languages.LanguageCompiler`. launch_cache: a folder of Triton's that is to hold what is published, see
    `bench.gpu.compile_cache`."""

    def __init__(self, arch: Arch, toolchain: Toolchain, timeout_s: float, launch_cache: Path | None) -> None:
        self._launch_cache = launch_cache
        self._target = GPUTarget("cuda", arch.capability, _WARP)
        self._cuobjdump = toolchain.paths["cuobjdump"]
        self._timeout_s = timeout_s
        _configure(toolchain.paths["ptxas"])

    def planned(self, launch: Launch) -> PlannedLaunch:
        source, options = source_and_options(launch, self._target)
        text = get_cache_key(source, make_backend(self._target), options, get_cache_invalidating_env_vars())
        key = compile_cache.folder_name(hashlib.sha256(text.encode()).hexdigest())
        return PlannedLaunch(key, launch.kernel.__name__, tuple(launch.grid), TRITON, key)

    def compile(self, launch: Launch, publish: bool) -> Compiled:
        source, options = source_and_options(launch, self._target)
        log = (
            io.StringIO()
        )  # ptxas's log is printed by Python; what MLIR and LLVM print goes past it to descriptors 1 and 2
        begun = time.perf_counter()
        try:
            with contextlib.redirect_stdout(log):
                kernel: Any = triton.compile(source, target=self._target, options=options.__dict__)
        finally:
            print(log.getvalue())
        seconds = time.perf_counter() - begun
        if publish and self._launch_cache is not None:
            with contextlib.suppress(OSError):  # a full disk: the worker compiles it again
                compile_cache.publish(kernel, self._launch_cache)
        cubin, name = kernel.asm["cubin"], kernel.metadata.name
        return Compiled(
            kernel=launch.kernel.__name__,
            num_warps=launch.num_warps,
            num_stages=launch.num_stages,
            ptx=hashlib.sha256(kernel.asm["ptx"].encode()).hexdigest()[:12],
            shared_bytes=int(kernel.metadata.shared),
            resources=read_resources(cubin, name, self._cuobjdump, self._timeout_s),
            log=read_ptxas_log(log.getvalue()),
            machine_code=kernel_code(cubin, name),
            products=TritonProducts(tuple(dots(kernel.asm["ttir"])), tuple(dots(kernel.asm["ttgir"]))),
            compile_s=round(seconds, 3),
        )


def _configure(ptxas: str) -> None:
    """This process compiles everything anew and with this ptxas: a kernel from Triton's cache comes without ptxas's warnings."""
    knobs.compilation.always_compile = True
    knobs.compilation.disable_line_info = True  # else the PTX names the source's directory and lines
    knobs.compilation.store_binary_only = False  # facts are read from the intermediate forms
    knobs.nvidia.dump_ptxas_log = True
    knobs.nvidia.ptxas = ptxas
