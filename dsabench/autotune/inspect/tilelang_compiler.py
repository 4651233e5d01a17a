"""TileLang launches: lowered to CUDA C++, which NVRTC compiles. Imports TileLang when the first is lowered.

TileLang's source differs in names and order between processes, and its PTX with it: that two configs are one machine code shows in the
PTX's hash only where one process compiled both, and `same_code_as` may miss a pair that another run finds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterator

from dsabench.autotune.inspect.cuda_compiler import kernel_facts, warps_of
from dsabench.autotune.inspect.jobs import Compiled, PlannedLaunch
from dsabench.autotune.inspect.languages import TILELANG, CompilerMissingError
from dsabench.autotune.inspect.toolchain import Toolchain
from dsabench.kernels.cuda.compile import CudaCompileError
from dsabench.kernels.cuda.nvrtc import NvrtcMissingError
from dsabench.kernels.tilelang.cache import keep_program, kernel_key
from dsabench.kernels.tilelang.compile import compile_launch
from dsabench.kernels.tilelang.headers import TileLangMissingError
from dsabench.kernels.tilelang.launch import TileLangLaunch


class TileLangCompiler:
    """See `languages.LanguageCompiler`. A kernel's own cache is `kernels.tilelang.cache`."""

    def __init__(self, toolchain: Toolchain, timeout_s: float) -> None:
        self._cuobjdump = toolchain.paths["cuobjdump"]
        self._timeout_s = timeout_s

    def planned(self, launch: TileLangLaunch) -> PlannedLaunch:
        with _missing():
            entry = kernel_key(launch)
        stated = [launch.stages, vars(launch.products) if launch.products else None]
        facts = hashlib.sha256(json.dumps(stated).encode()).hexdigest()[:12]
        return PlannedLaunch(f"{entry}-{facts}", launch.source.entry, tuple(launch.grid), TILELANG, entry)

    def compile(self, launch: TileLangLaunch, publish: bool) -> Compiled:
        begun = time.perf_counter()
        try:
            with _missing():
                program = compile_launch(launch)
        except CudaCompileError as error:
            print(error.log)
            raise
        seconds = time.perf_counter() - begun
        print(program.kernel.log)
        if publish:
            with contextlib.suppress(OSError):  # a full disk: the worker compiles it again
                keep_program(kernel_key(launch), program)
        return Compiled(
            num_warps=warps_of(program.facts.block),
            num_stages=launch.stages,
            products=launch.products,
            compile_s=round(seconds, 3),
            **kernel_facts(program.kernel, program.facts.shared_bytes, self._cuobjdump, self._timeout_s),
        )


@contextlib.contextmanager
def _missing() -> Iterator[None]:
    try:
        yield
    except (NvrtcMissingError, TileLangMissingError) as error:
        raise CompilerMissingError(str(error)) from error
