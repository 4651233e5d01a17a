"""The languages that launches are written in: which compiler takes a launch, and whether its machine code is already where it will
be looked up. A language is a module that imports its compiler; none is imported before a launch asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from dsabench.autotune.inspect.arch import Arch
from dsabench.autotune.inspect.jobs import Compiled, PlannedLaunch
from dsabench.autotune.inspect.toolchain import Toolchain
from dsabench.kernels.cuda.source import CudaLaunch
from dsabench.kernels.tilelang.launch import TileLangLaunch
from dsabench.kernels.triton.launch import Launch

TRITON, CUDA, TILELANG = "triton", "cuda", "tilelang"
LANGUAGES: dict[type, str] = {Launch: TRITON, CudaLaunch: CUDA, TileLangLaunch: TILELANG}


class CompilerMissingError(Exception):
    """A language's compiler is not installed; the message is one line and says what would bring it."""


class LanguageCompiler(Protocol):
    """Plans and compiles launches of one language for one architecture. Both raise CompilerMissingError, and what the compiler
    raises."""

    def planned(self, launch: Any) -> PlannedLaunch: ...

    def compile(self, launch: Any, publish: bool) -> Compiled:
        """publish: into the cache that launches load from."""
        ...


def language_of(launch: object) -> str:
    """Raises TypeError for what is no launch."""
    try:
        return LANGUAGES[type(launch)]
    except KeyError:
        raise TypeError(f"a plan holds launches, got {type(launch).__name__}") from None


def compiler_of(
    language: str, arch: Arch, toolchain: Toolchain, timeout_s: float, launch_cache: Path | None
) -> LanguageCompiler:
    """timeout_s: of each of NVIDIA's tools; launch_cache: Triton's, where launches are to find what was compiled."""
    if language == CUDA:
        from dsabench.autotune.inspect.cuda_compiler import CudaCompiler

        return CudaCompiler(toolchain, timeout_s)  # sm_90a, the one there is: see kernels.cuda.compile.ARCH
    if language == TILELANG:
        from dsabench.autotune.inspect.tilelang_compiler import TileLangCompiler

        return TileLangCompiler(toolchain, timeout_s)
    from dsabench.autotune.inspect.triton_compiler import TritonCompiler

    return TritonCompiler(arch, toolchain, timeout_s, launch_cache)


def launches_at_once(launch: PlannedLaunch, launch_cache: Path) -> bool:
    """Whether running the launch would compile nothing."""
    if launch.language == CUDA:
        from dsabench.kernels.cuda.cache import cached_cubin

        return cached_cubin(launch.entry) is not None
    if launch.language == TILELANG:
        from dsabench.kernels.tilelang.cache import cached_program

        return cached_program(launch.entry) is not None
    from dsabench.bench.gpu.compile_cache import is_compiled

    return is_compiled(launch_cache, launch.entry, launch.kernel)
