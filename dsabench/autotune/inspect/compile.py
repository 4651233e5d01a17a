"""The work of a worker process: plan a config's launches, compile one, disassemble a batch. Imports Triton."""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import triton
from triton import knobs
from triton._C.libtriton import get_cache_invalidating_env_vars
from triton.backends.compiler import GPUTarget
from triton.compiler import make_backend
from triton.runtime.cache import get_cache_key

from dsabench.autotune.inspect.arch import Arch
from dsabench.autotune.inspect.disassemble import disassemble, kernel_code
from dsabench.autotune.inspect.jobs import (
    Compiled,
    CompileJob,
    DisassembleJob,
    Job,
    PlanJob,
    PlannedLaunch,
    Result,
)
from dsabench.autotune.inspect.products import dots
from dsabench.autotune.inspect.resources import read_ptxas_log, read_resources
from dsabench.autotune.inspect.source import source_and_options
from dsabench.autotune.inspect.toolchain import Toolchain
from dsabench.bench.gpu.compile_cache import folder_name, publish
from dsabench.bench.inspection_records import ConfigId
from dsabench.kernels.registry import get_implementation, get_op
from dsabench.kernels.triton.launch import Launch

_WARP = 32


class Compiler:
    """Does jobs for one architecture. `timeout_s` bounds each of NVIDIA's tools; the job as a whole is bounded from outside.
    launch_cache: a folder of Triton's that is to hold what was compiled, see `bench.gpu.compile_cache`."""

    def __init__(self, arch: Arch, toolchain: Toolchain, timeout_s: float, launch_cache: Path | None = None) -> None:
        self._arch = arch
        self._launch_cache = launch_cache
        self._target = GPUTarget("cuda", arch.capability, _WARP)
        self._toolchain = toolchain
        self._timeout_s = timeout_s

    def do(self, job: Job) -> Result:
        match job:
            case PlanJob():
                return tuple(self._planned(launch) for launch in _launches(job.config))
            case CompileJob():
                return self._compile(_launches(job.config)[job.launch])
            case DisassembleJob():
                nvdisasm = self._toolchain.paths["nvdisasm"]
                return tuple(disassemble(job.machine_codes, self._arch.name, nvdisasm, self._timeout_s))

    def _planned(self, launch: Launch) -> PlannedLaunch:
        source, options = source_and_options(launch, self._target)
        text = get_cache_key(source, make_backend(self._target), options, get_cache_invalidating_env_vars())
        key = folder_name(hashlib.sha256(text.encode()).hexdigest())
        return PlannedLaunch(key, launch.kernel.__name__, tuple(launch.grid))

    def _compile(self, launch: Launch) -> Compiled:
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
        if self._launch_cache is not None:
            with contextlib.suppress(OSError):  # a full disk: the worker compiles it again
                publish(kernel, self._launch_cache)
        cubin, name = kernel.asm["cubin"], kernel.metadata.name
        cuobjdump = self._toolchain.paths["cuobjdump"]
        return Compiled(
            kernel=launch.kernel.__name__,
            num_warps=launch.num_warps,
            num_stages=launch.num_stages,
            ptx=hashlib.sha256(kernel.asm["ptx"].encode()).hexdigest()[:12],
            shared_bytes=int(kernel.metadata.shared),
            resources=read_resources(cubin, name, cuobjdump, self._timeout_s),
            log=read_ptxas_log(log.getvalue()),
            machine_code=kernel_code(cubin, name),
            source_dots=tuple(dots(kernel.asm["ttir"])),
            laid_out_dots=tuple(dots(kernel.asm["ttgir"])),
            compile_s=round(seconds, 3),
        )


def configure(ptxas: str) -> None:
    """This process compiles everything anew and with this ptxas: a kernel from Triton's cache comes without ptxas's warnings."""
    knobs.compilation.always_compile = True
    knobs.compilation.disable_line_info = True  # else the PTX names the source's directory and lines
    knobs.compilation.store_binary_only = False  # facts are read from the intermediate forms
    knobs.nvidia.dump_ptxas_log = True
    knobs.nvidia.ptxas = ptxas


def _launches(config: ConfigId) -> Sequence[Launch]:
    """What `run` would launch, on tensors that hold nothing."""
    op = get_op(config.op)
    plan = get_implementation(config.op, config.impl).plan
    assert plan is not None, config
    inputs = op.empty_inputs(dict(config.axes), torch.device("meta"))
    return plan(inputs, op.empty_outputs(inputs), dict(config.config))
