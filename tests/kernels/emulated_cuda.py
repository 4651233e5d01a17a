"""Runs planned launches of CUDA C++ kernels on CPU tensors: the kernel's own text, compiled by g++ with `cuda_emulator`.

The package's headers are found as they are, but for those that `cuda_emulator` has by the same name: what is written in PTX there.
"""

from __future__ import annotations

import ctypes
import functools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from dsabench.kernels.cuda.source import Argument, CudaLaunch, CudaSource
from tests.kernels.emulator_parts import COMPILER, KERNEL_FLAGS, emulator_parts, gcc

needs_compiler = pytest.mark.skipif(
    COMPILER is None, reason="the kernels' emulation is compiled by g++, which is not here"
)

WRAPPER = """
#include "emulator.h"
#include "{file}"
static std::string outcome;
extern "C" const char* emulate(
    const unsigned* grid, const unsigned* block, unsigned cluster, uint64_t shared_bytes, unsigned seed, void** arguments) {{
    emulator::arguments = arguments;
    emulator::watching = WATCHING;
    outcome = emulator::run(emulator::entry<&{entry}>, dim3{{grid[0], grid[1], grid[2]}}, dim3{{block[0], block[1], block[2]}},
                            cluster, shared_bytes, seed);
    return outcome.c_str();
}}
"""


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="dsabench-emulated-")


def build(kernel: Path, entry: str, flags: Sequence[str], races: bool = False) -> ctypes.CDLL:
    """The file `kernel`, whose function `entry` is to be run, as a library; races: with hooks on its loads and stores."""
    folder = Path(tempfile.mkdtemp(dir=_folder().name))
    wrapper = folder / "wrapper.cpp"
    wrapper.write_text(WRAPPER.format(file=kernel, entry=entry))
    hooks = ("-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0") if races else ()
    parts = emulator_parts()
    always = (*KERNEL_FLAGS, f"-DWATCHING={int(races)}", f"-I{parts.include}")
    gcc(*always, *hooks, *flags, "-c", wrapper, "-o", folder / "kernel.o")
    # Without the flag: the hooks are the emulator's, not the sanitizer's.
    gcc("-shared", "-Wl,-Bsymbolic", folder / "kernel.o", parts.machine, "-o", folder / "kernel.so")
    library = ctypes.CDLL(str(folder / "kernel.so"))
    library.emulate.restype = ctypes.c_char_p
    return library


def run(
    library: ctypes.CDLL, grid: Sequence[int], block: Sequence[int], cluster: int, shared_bytes: int, arguments: Sequence[Argument],
    seed: int,
) -> str:  # fmt: skip
    """Runs what `build` made; what went wrong, or nothing."""
    values = []
    for argument in arguments:
        if argument is None or isinstance(argument, torch.Tensor):
            values.append(ctypes.c_void_p(None if argument is None else argument.data_ptr()))
        else:
            values.append(ctypes.create_string_buffer(argument.tobytes(), argument.nbytes))
    pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    grid, block = ((ctypes.c_uint * 3)(*sides, *(1,) * (3 - len(sides))) for sides in (grid, block))
    outcome: bytes = library.emulate(grid, block, cluster, ctypes.c_uint64(shared_bytes), seed, pointers)
    return outcome.decode()


@functools.cache
def _compiled(source: CudaSource, constants: tuple[tuple[str, int], ...], races: bool) -> ctypes.CDLL:
    return build(source.file, source.entry, [f"-D{name}={int(value)}" for name, value in constants], races)


def emulate(launches: Sequence[CudaLaunch], seed: int = 0, races: bool = False) -> None:
    """Runs the launches in order, on tensors in CPU memory; `seed` draws the order in which threads take turns, and when
    asynchronous work is done. Fails the test on what cuda_emulator reports: a deadlock, a write past shared memory, a misaligned
    access, a misused barrier or product. races: also of accesses to shared memory that nothing orders, at some ten times the time."""
    for launch in launches:
        constants = dict(launch.constants)
        if launch.cluster is not None:
            constants["CLUSTER"] = launch.cluster
        library = _compiled(launch.source, tuple(sorted(constants.items())), races)
        outcome = run(
            library, launch.grid, launch.block, launch.cluster or 1, launch.shared_bytes, launch.arguments, seed
        )
        assert not outcome, f"{launch.source.entry} {constants}: {outcome}"
