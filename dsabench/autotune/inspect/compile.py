"""The work of a worker process: plan a config's launches, compile one, disassemble a batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from dsabench.autotune.inspect.arch import Arch
from dsabench.autotune.inspect.disassemble import disassemble
from dsabench.autotune.inspect.jobs import (
    CompileJob,
    CompilerMissing,
    DisassembleJob,
    Job,
    PlanJob,
    Result,
)
from dsabench.autotune.inspect.languages import CompilerMissingError, LanguageCompiler, compiler_of, language_of
from dsabench.autotune.inspect.toolchain import Toolchain
from dsabench.bench.inspection_records import ConfigId
from dsabench.kernels.registry import get_implementation, get_op


class Compiler:
    """Does jobs for one architecture. `timeout_s` bounds each of NVIDIA's tools; the job as a whole is bounded from outside.
    launch_cache: a folder of Triton's that is to hold what was compiled, see `bench.gpu.compile_cache`; None: no launch will look
    for it, in no language's cache."""

    def __init__(self, arch: Arch, toolchain: Toolchain, timeout_s: float, launch_cache: Path | None = None) -> None:
        self._arch = arch
        self._launch_cache = launch_cache
        self._toolchain = toolchain
        self._timeout_s = timeout_s
        self._compilers: dict[str, LanguageCompiler] = {}

    def do(self, job: Job) -> Result:
        try:
            match job:
                case PlanJob():
                    return tuple(self._compiler(launch).planned(launch) for launch in _launches(job.config))
                case CompileJob():
                    launch = _launches(job.config)[job.launch]
                    return self._compiler(launch).compile(launch, publish=self._launch_cache is not None)
                case DisassembleJob():
                    nvdisasm = self._toolchain.paths["nvdisasm"]
                    return tuple(disassemble(job.machine_codes, self._arch.name, nvdisasm, self._timeout_s))
        except CompilerMissingError as error:
            return CompilerMissing(str(error))

    def _compiler(self, launch: object) -> LanguageCompiler:
        language = language_of(launch)
        if language not in self._compilers:
            self._compilers[language] = compiler_of(
                language, self._arch, self._toolchain, self._timeout_s, self._launch_cache
            )
        return self._compilers[language]


def _launches(config: ConfigId) -> Sequence[Any]:
    """What `run` would launch, on tensors that hold nothing."""
    op = get_op(config.op)
    plan = get_implementation(config.op, config.impl).plan
    assert plan is not None, config
    inputs = op.empty_inputs(dict(config.axes), torch.device("meta"))
    return plan(inputs, op.empty_outputs(inputs), dict(config.config))
