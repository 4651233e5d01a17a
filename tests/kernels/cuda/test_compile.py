"""Compiled for real, for sm_90a, with no driver; what does not compile or does not fit its launch is one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dsabench.kernels.cuda.compile import CompiledKernel, CudaCompileError, compile_launch, macros
from tests.kernels.cuda.launches import TINY, rank, scale

TENSOR = torch.empty(8, device="meta")


@pytest.fixture(scope="module")
def compiled() -> CompiledKernel:
    return compile_launch(scale())


def test_a_whole_cubin_for_hopper(compiled: CompiledKernel) -> None:
    assert compiled.cubin.startswith(b"\x7fELF")
    assert b".text.scale" in compiled.cubin
    assert ".target sm_90a" in compiled.ptx
    assert "256 bytes smem" in compiled.log
    assert re.search(r"Used \d+ registers", compiled.log)


def test_the_code_is_that_of_its_constants(compiled: CompiledKernel) -> None:
    assert compile_launch(scale()).cubin == compiled.cubin
    other = compile_launch(scale(constants={"BLOCK": 256}))
    assert ".maxntid 256" in other.ptx
    assert other.cubin != compiled.cubin


def test_a_cluster_is_compiled_in() -> None:
    assert ".reqnctapercluster 4, 1, 1" in compile_launch(rank(4)).ptx


def test_macros() -> None:
    assert macros(scale(constants={"Z": True, "A": -1}, cluster=2)) == {"A": -1, "CLUSTER": 2, "Z": 1}


@pytest.mark.parametrize(
    ("constants", "words"),
    [
        ({"CLUSTER": 2}, "'CLUSTER' is no name for a constant"),
        ({"A B": 2}, "'A B' is no name for a constant"),
        ({"BLOCK": 1.5}, "constant BLOCK must be an int or a bool, got 1.5"),
    ],
)
def test_a_wrong_constant(constants: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        compile_launch(scale(constants=constants))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((TENSOR, TENSOR), "scale takes parameters of 8, 8, 8, 4, 4 bytes, the launch gives 8, 8"),
        ((TENSOR, None, np.int32(8), np.int32(3), np.float32(1)), "the launch gives 8, 8, 4, 4, 4"),
        ((), "the launch gives no"),
    ],
)
def test_arguments_that_are_not_the_parameters(arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(CudaCompileError, match=words):
        compile_launch(scale(arguments=arguments))


@pytest.mark.parametrize("argument", [3, 0.5, True, "x"])
def test_an_argument_without_a_c_type(argument: Any) -> None:
    with pytest.raises(TypeError, match=r"a NumPy scalar of the parameter's type, got"):
        compile_launch(scale(arguments=(argument,)))


def test_a_cluster_the_source_does_not_declare() -> None:
    with pytest.raises(CudaCompileError, match="scale has no __cluster_dims__, the launch has cluster=4"):
        compile_launch(scale(cluster=4))


def test_an_entry_that_is_not_there() -> None:
    with pytest.raises(CudaCompileError, match=r'tiny.cu has no extern "C" __global__ function rank'):
        compile_launch(scale(source=rank().source))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\n__device__ int x = nothing;\n", r'broken.cu, line 2: identifier "nothing" is undefined'),
        (b'#include "gone.cuh"\n', r'broken.cu, line 1: cannot open source file "gone.cuh"'),
        (b"#include <stdint.h>\n", r'broken.cu, line 1: cannot open source file "stdint.h"'),
    ],
)
def test_an_error_is_the_compilers_first(text: bytes, words: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.cu"
    broken.write_bytes(text)
    with pytest.raises(CudaCompileError, match=words) as caught:
        compile_launch(scale(broken))
    assert "\n" not in str(caught.value)
    assert "broken.cu" in caught.value.log


def test_what_ptxas_refuses_is_one_line(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.cu"
    wrong.write_text('extern "C" __global__ void scale(float* x) { asm volatile("no.such.instruction;"); }\n')
    with pytest.raises(CudaCompileError, match=r"wrong.cu: ptxas .*no") as caught:
        compile_launch(scale(wrong, arguments=(TENSOR,)))
    assert "\n" not in str(caught.value)


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        compile_launch(scale(tmp_path / "none.cu"))
    assert TINY.is_file()
