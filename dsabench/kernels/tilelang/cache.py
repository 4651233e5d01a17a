"""TileLang's kernels on disk: cubin and facts, found by a key that needs no lowering, so that a process with a warm cache never
imports TileLang. The folder is that of our CUDA C++, see `kernels.cuda.cache`."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path

from dsabench.kernels.cuda.cache import cached_cubin, facts_of, keep_cubin
from dsabench.kernels.cuda.nvrtc import nvrtc_version
from dsabench.kernels.source_hash import module_text
from dsabench.kernels.tilelang.compile import PREFIX, CompiledProgram, compile_launch, options, pass_configs
from dsabench.kernels.tilelang.facts import KernelFacts, argument_type, from_json, to_json
from dsabench.kernels.tilelang.headers import TileLangMissingError, cuda_version
from dsabench.kernels.tilelang.launch import TileLangLaunch


@dataclass(frozen=True)
class CachedProgram:
    """cubin: a file; facts: what launching it takes."""

    cubin: Path
    facts: KernelFacts


def kernel_key(launch: TileLangLaunch) -> str:
    """24 hex digits over the program and the modules of ours that it imports, entry, constants, pass configs, versions of TileLang, of
    NVRTC and of CUDA's headers, NVRTC's options, and the types of the arguments, which the compiled kernel is checked against.
    Raises OSError where a file cannot be read, TileLangMissingError, NvrtcMissingError, and TypeError as `argument_type` does."""
    configs = pass_configs(launch)
    what = [
        _text(launch.source.file),
        launch.source.entry,
        sorted(launch.constants.items()),
        configs,
        tilelang_version(),
        nvrtc_version(),
        cuda_version(),
        options(configs),
        PREFIX,
        sorted((name, argument_type(argument)) for name, argument in launch.arguments.items()),
    ]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


@functools.cache
def _text(file: Path) -> str:
    """Of a program and what it imports, as this process saw them first: an edited kernel is a new process's business."""
    return module_text(file)


@functools.cache
def tilelang_version() -> str:
    """Raises TileLangMissingError."""
    try:
        return importlib.metadata.version("tilelang")
    except importlib.metadata.PackageNotFoundError:
        raise TileLangMissingError("TileLang is not installed: pip install 'dsabench[tilelang]'") from None


def cached_program(key: str) -> CachedProgram | None:
    """The kernel of `kernel_key`, whole; None where there is none."""
    cubin = cached_cubin(key)
    if cubin is None:
        return None
    try:
        return CachedProgram(cubin, from_json(facts_of(cubin)))
    except (KeyError, TypeError):  # kept by another version of this program, or damaged
        return None


def keep_program(key: str, program: CompiledProgram) -> CachedProgram:
    """Raises OSError where it cannot be written."""
    return CachedProgram(keep_cubin(key, program.kernel.cubin, to_json(program.facts)), program.facts)


def program_of(launch: TileLangLaunch) -> CachedProgram:
    """The launch's kernel, compiled if need be. Raises as `kernel_key`, `compile_launch` and `keep_program` do."""
    key = kernel_key(launch)
    return cached_program(key) or keep_program(key, compile_launch(launch))
