"""Programs lowered by TileLang and compiled by NVRTC, for real."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dsabench.kernels.cuda.compile import CudaCompileError
from dsabench.kernels.tilelang import compile as compiling
from dsabench.kernels.tilelang.compile import CompiledProgram, compile_launch, options, pass_configs
from dsabench.kernels.tilelang.facts import LaunchMismatchError
from dsabench.kernels.tilelang.launch import TileLangSource
from dsabench.kernels.tilelang.lowering import LoweringError
from tests.kernels.tilelang.launches import SCALE, TINY, clusters, scale, scaled


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where TileLang could write."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOME", str(folder))
        environment.setenv("DSABENCH_CACHE_DIR", str(folder / "ours"))
        environment.setattr(compiling, "_precompiled", compiling._PrecompiledHeaders())
        yield folder


@pytest.fixture(scope="module")
def program(home: Path) -> CompiledProgram:
    return compile_launch(scale())


@pytest.fixture(scope="module")
def clustered(program: CompiledProgram) -> CompiledProgram:
    """The second of the process: with precompiled headers."""
    return compile_launch(clusters())


def test_what_launching_takes_is_the_lowered_functions(program: CompiledProgram) -> None:
    assert program.facts == SCALE
    assert program.kernel.entry == SCALE.entry
    assert program.kernel.cubin.startswith(b"\x7fELF")
    assert ".target sm_90a" in program.kernel.ptx
    assert f"Compiling entry function '{SCALE.entry}' for 'sm_90a'" in program.kernel.log


def test_parameters_stand_in_the_kernels_order(program: CompiledProgram) -> None:
    declared = re.search(r"\.entry scale_kernel\((.*?)\)", program.kernel.ptx, re.DOTALL)
    assert declared is not None
    assert re.findall(r"\.param (?:\.align \d+ )?\.(\w+)", declared[1]) == ["u64", "u64", "f32", "u32"]
    assert program.facts.parameters == ["source", "target", "factor", "n"]


def test_clusters_are_declared_in_the_source(clustered: CompiledProgram) -> None:
    assert clustered.facts.cluster == 4
    assert ".reqnctapercluster 4" in clustered.kernel.ptx


def test_dimensions_have_their_declared_types(clustered: CompiledProgram) -> None:
    assert clustered.facts.scalars == {"rows": "int32", "width": "int64", "value": "int64"}
    assert clustered.facts.buffers["target"].strides == [["*", 2, "width"], 1]
    assert clustered.facts.grid == [["*", ["//", ["+", "width", 127], 128], 4], "rows", 1]


def test_headers_are_compiled_once_for_later_kernels(clustered: CompiledProgram) -> None:
    assert "creating precompiled header file" in clustered.kernel.log


def test_nothing_is_written_to_tilelangs_own_folder(clustered: CompiledProgram, home: Path) -> None:
    assert not (home / ".tilelang").exists()


@pytest.mark.parametrize(
    ("entry", "constants", "why"),
    [
        ("two", {}, "tiny_program.py, two: has 2 kernels, a launch is of one"),
        ("waits", {}, "asks for programmatic dependent launch, which a launch here does not do"),
        ("no_program", {}, "tiny_program.py, no_program: returned int, no PrimFunc"),
        ("nowhere", {}, "tiny_program.py has no function nowhere"),
    ],
)
def test_programs_that_cannot_be_launched(entry: str, constants: dict[str, int], why: str, home: Path) -> None:
    with pytest.raises(LoweringError, match=re.escape(why)):
        compile_launch(scale(source=TileLangSource(TINY, entry), constants=constants))


def test_a_launch_is_checked_before_nvrtc_is_asked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "compile_source", lambda *asked: pytest.fail("compiled"))
    with pytest.raises(LaunchMismatchError, match="the program launches"):
        compile_launch(scale(grid=(3,)))
    with pytest.raises(LaunchMismatchError, match="n is int32, the launch gives int64"):
        compile_launch(scale(arguments=scaled(n=np.int64(1000))))


def test_pass_configs_are_the_defaults_and_the_launchs() -> None:
    default = {"tl.disable_tma_lower": True, "tl.disable_warp_specialized": True}
    assert pass_configs(scale()) == default
    mine = {"tl.disable_warp_specialized": False, "tl.enable_fast_math": True}
    assert pass_configs(scale(pass_configs=mine)) == {**default, **mine}


def test_pass_configs_that_are_nvrtcs_business() -> None:
    plain = options({})
    assert options({"tl.enable_fast_math": True}) == [*plain, "--use_fast_math"]
    assert options({"tl.enable_fast_math": False}) == plain
    assert options({"tl.device_compile_flags": "-DA='1 2' -lineinfo"}) == [*plain, "-DA=1 2", "-lineinfo"]
    assert options({"tl.ptxas_register_usage_level": 3}) == [*plain, "--ptxas-options=--register-usage-level=3"]


def test_where_headers_cannot_be_kept_kernels_compile_without(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def compile_(text: str, name: str, entry: str, given: list[str]) -> str:
        asked.append("-pch" in given)
        if asked[-1]:
            raise CudaCompileError("error while writing PCH file: No space left on device")
        return "kernel"

    monkeypatch.setattr(compiling, "_precompiled", compiling._PrecompiledHeaders())
    monkeypatch.setattr(compiling, "compile_source", compile_)
    assert [compiling._compile("", "a.cu", "a", []) for _ in range(3)] == ["kernel"] * 3
    assert asked == [False, True, False, False]


def test_a_binding_that_cannot_reserve_their_memory_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "reserve_for_headers", lambda size: False)
    headers = compiling._PrecompiledHeaders()
    assert [headers.options() for _ in range(3)] == [[], [], []]


def test_headers_do_not_change_the_code(program: CompiledProgram, clustered: CompiledProgram) -> None:
    again = compile_launch(scale())
    assert "using precompiled header file" in again.kernel.log
    assert again.kernel.cubin == program.kernel.cubin
