"""CUDA C++ launches, compiled by NVRTC, and what any kernel that NVRTC compiled is as facts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from typing import TypedDict

from dsabench.autotune.inspect.disassemble import kernel_code
from dsabench.autotune.inspect.jobs import Compiled, PlannedLaunch
from dsabench.autotune.inspect.languages import CUDA, CompilerMissingError
from dsabench.autotune.inspect.occupancy import WARP
from dsabench.autotune.inspect.resources import PtxasLog, Resources, kernel_log, read_ptxas_log, read_resources
from dsabench.autotune.inspect.toolchain import Toolchain
from dsabench.kernels.cuda.cache import keep_cubin, kernel_key
from dsabench.kernels.cuda.compile import CompiledKernel, CudaCompileError, compile_launch
from dsabench.kernels.cuda.nvrtc import NvrtcMissingError
from dsabench.kernels.cuda.source import CudaLaunch


class CudaCompiler:
    """See `languages.LanguageCompiler`. A cubin's own cache is `kernels.cuda.cache`."""

    def __init__(self, toolchain: Toolchain, timeout_s: float) -> None:
        self._cuobjdump = toolchain.paths["cuobjdump"]
        self._timeout_s = timeout_s

    def planned(self, launch: CudaLaunch) -> PlannedLaunch:
        with _missing():
            entry = kernel_key(launch)
        stated = [launch.block, launch.shared_bytes, launch.stages, vars(launch.products) if launch.products else None]
        facts = hashlib.sha256(json.dumps(stated).encode()).hexdigest()[:12]
        return PlannedLaunch(f"{entry}-{facts}", launch.source.entry, tuple(launch.grid), CUDA, entry)

    def compile(self, launch: CudaLaunch, publish: bool) -> Compiled:
        begun = time.perf_counter()
        try:
            with _missing():
                kernel = compile_launch(launch)
        except CudaCompileError as error:
            print(error.log)
            raise
        seconds = time.perf_counter() - begun
        print(kernel.log)
        if publish:
            with contextlib.suppress(OSError):  # a full disk: the worker compiles it again
                keep_cubin(kernel_key(launch), kernel.cubin)
        return Compiled(
            num_warps=warps_of(launch.block),
            num_stages=launch.stages,
            products=launch.products,
            compile_s=round(seconds, 3),
            **kernel_facts(kernel, launch.shared_bytes, self._cuobjdump, self._timeout_s),
        )


class KernelFacts(TypedDict):
    """The fields of Compiled that the machine code and the compiler's log tell."""

    kernel: str
    ptx: str
    shared_bytes: int
    resources: Resources
    log: PtxasLog
    machine_code: bytes


def kernel_facts(kernel: CompiledKernel, dynamic_bytes: int, cuobjdump: str, timeout_s: float) -> KernelFacts:
    """dynamic_bytes: of shared memory, that its launch asks for. Raises ResourceError, DisassemblyError."""
    log = read_ptxas_log(kernel_log(kernel.log, kernel.entry))
    return {
        "kernel": kernel.entry,
        "ptx": hashlib.sha256(kernel.ptx.encode()).hexdigest()[:12],
        "shared_bytes": log.shared_bytes + dynamic_bytes,
        "resources": read_resources(kernel.cubin, kernel.entry, cuobjdump, timeout_s),
        "log": log,
        "machine_code": kernel_code(kernel.cubin, kernel.entry),
    }


def warps_of(block: Sequence[int]) -> int:
    """block: threads along each dimension."""
    return -(-math.prod(block) // WARP)


@contextlib.contextmanager
def _missing() -> Iterator[None]:
    try:
        yield
    except NvrtcMissingError as error:
        raise CompilerMissingError(str(error)) from error
