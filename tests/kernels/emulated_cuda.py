"""Runs planned launches of CUDA C++ kernels on CPU tensors: the kernel's own text, compiled by g++ with `cuda_emulator`."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from dsabench.kernels.cuda.source import CudaLaunch, CudaSource

HERE = Path(__file__).parent / "cuda_emulator"
INCLUDE = Path(__file__).parents[2] / "dsabench" / "kernels" / "cuda" / "include"
COMPILER = shutil.which("g++")
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
    outcome = emulator::run(emulator::entry<&{entry}>, dim3{{grid[0], grid[1], grid[2]}}, dim3{{block[0], block[1], block[2]}},
                            cluster, shared_bytes, seed);
    return outcome.c_str();
}}
"""


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="dsabench-emulated-")


@functools.cache
def _compiled(source: CudaSource, constants: tuple[tuple[str, int], ...]) -> ctypes.CDLL:
    folder = Path(tempfile.mkdtemp(dir=_folder().name))
    wrapper = folder / "wrapper.cpp"
    wrapper.write_text(WRAPPER.format(file=source.file, entry=source.entry))
    defines = [f"-D{name}={int(value)}" for name, value in constants]
    command = [
        str(COMPILER), "-std=c++17", "-O1", "-shared", "-fPIC", "-fno-strict-aliasing", "-D_FORTIFY_SOURCE=0", "-w",
        f"-I{HERE}", f"-I{INCLUDE}", *defines, str(wrapper), "-o", str(folder / "kernel.so"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    library = ctypes.CDLL(str(folder / "kernel.so"))
    library.emulate.restype = ctypes.c_char_p
    return library


def emulate(launches: Sequence[CudaLaunch], seed: int = 0) -> None:
    """Runs the launches in order, on tensors in CPU memory; `seed` draws the order in which threads take turns. Fails the test
    on a deadlock, a write past shared memory or a misaligned load."""
    for launch in launches:
        constants = dict(launch.constants)
        if launch.cluster is not None:
            constants["CLUSTER"] = launch.cluster
        library = _compiled(launch.source, tuple(sorted(constants.items())))
        values = []
        for argument in launch.arguments:
            if argument is None or isinstance(argument, torch.Tensor):
                values.append(ctypes.c_void_p(None if argument is None else argument.data_ptr()))
            else:
                values.append(ctypes.create_string_buffer(argument.tobytes(), argument.nbytes))
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        grid, block = ((ctypes.c_uint * 3)(*sides, *(1,) * (3 - len(sides))) for sides in (launch.grid, launch.block))
        outcome = library.emulate(
            grid, block, launch.cluster or 1, ctypes.c_uint64(launch.shared_bytes), seed, pointers
        ).decode()
        assert not outcome, f"{launch.source.entry} {constants}: {outcome}"
