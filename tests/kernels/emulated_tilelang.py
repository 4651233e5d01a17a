"""Runs planned launches of TileLang programs on CPU tensors: the CUDA C++ that each is lowered to, compiled by g++ with
`tilelang_emulator` over `cuda_emulator`, whose headers say what is emulated and what that cannot show."""

from __future__ import annotations

import ctypes
import functools
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dsabench.kernels.tilelang.compile import pass_configs
from dsabench.kernels.tilelang.facts import KernelFacts, check_launch
from dsabench.kernels.tilelang.launch import Constant, TileLangLaunch, TileLangSource
from tests.kernels.emulated_cuda import build, run

TEMPLATES = Path(__file__).parent / "tilelang_emulator"
_INCLUDE = re.compile(r"^#include <.*>$", re.MULTILINE)
_DYNAMIC = "extern __shared__ __align__(1024) uchar buf_dyn_shmem[];"
_STATIC = re.compile(r"__shared__ (?:__align__\(\d+\) )?(\w+) (\w+)\[(\d+)\];")
_STATIC_BYTES = 1024
"""of each static shared variable: more than a kernel's barriers take"""
Named = tuple[tuple[str, Constant], ...]


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="dsabench-emulated-")


def _emulated(source: str, dynamic_bytes: int) -> tuple[str, int]:
    """The kernel's text with the emulator's headers in place of TileLang's and all shared memory dynamic, and its bytes."""
    shared_bytes = -(-dynamic_bytes // _STATIC_BYTES) * _STATIC_BYTES

    def placed(declaration: re.Match[str]) -> str:
        nonlocal shared_bytes
        type_, name, count = declaration.groups()
        shared_bytes += _STATIC_BYTES
        fits = f"static_assert({count} * sizeof({type_}) <= {_STATIC_BYTES});"
        return f"{type_}* {name} = ({type_}*)((uchar*)DYNAMIC_SHARED + {shared_bytes - _STATIC_BYTES}); {fits}"

    text = _INCLUDE.sub("", source).replace(_DYNAMIC, "uchar* buf_dyn_shmem = (uchar*)DYNAMIC_SHARED;")
    return '#include "tilelang.h"\n' + _STATIC.sub(placed, text), max(shared_bytes, dynamic_bytes)


@functools.cache
def _compiled(
    source: TileLangSource, constants: Named, configs: Named, races: bool
) -> tuple[ctypes.CDLL, KernelFacts, int]:
    from dsabench.kernels.tilelang.lowering import lower_program

    lowered = lower_program(source, dict(constants), dict(configs))
    text, shared_bytes = _emulated(lowered.source, lowered.facts.shared_bytes)
    kernel = Path(tempfile.mkdtemp(dir=_folder().name)) / "kernel.cpp"
    kernel.write_text(text)
    return build(kernel, lowered.facts.entry, [f"-I{TEMPLATES}"], races), lowered.facts, shared_bytes


def emulate(launches: Sequence[TileLangLaunch], seed: int = 0, races: bool = False) -> None:
    """Runs the launches in order, on tensors in CPU memory; seed, races: as of `emulated_cuda.emulate`. Fails the test on a launch
    that does not fit its program and on what that reports."""
    for launch in launches:
        constants, configs = tuple(sorted(launch.constants.items())), tuple(pass_configs(launch).items())
        library, facts, shared_bytes = _compiled(launch.source, constants, configs, races)
        check_launch(launch, facts)
        arguments = [launch.arguments[name] for name in facts.parameters]
        outcome = run(library, launch.grid, facts.block, facts.cluster or 1, shared_bytes, arguments, seed)
        assert not outcome, f"{launch.source.entry} {dict(constants)}: {outcome}"
