"""Which NVRTC compiles: cuda-bindings', else CuPy's; without either one line that says what brings it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest

from dsabench.kernels.cuda import nvrtc
from dsabench.kernels.cuda.nvrtc import NvrtcMissingError, nvrtc_version, run_nvrtc


@pytest.fixture(autouse=True)
def found_anew() -> Iterator[None]:
    nvrtc._binding.cache_clear()
    nvrtc.nvrtc_version.cache_clear()
    yield
    nvrtc._binding.cache_clear()
    nvrtc.nvrtc_version.cache_clear()


@pytest.fixture
def no_bindings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setitem(sys.modules, "cupy.cuda", None)


class NVRTCError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"NVRTC_ERROR ({status})")
        self.status = status


class FakeCuPy(ModuleType):
    """cupy.cuda.nvrtc of CuPy 14 as far as it is used: its getCUBIN drops the last byte, getPTX gives bytes."""

    NVRTCError = NVRTCError
    fails_with = 0

    def __init__(self) -> None:
        super().__init__("cupy.cuda.nvrtc")
        self.destroyed = 0

    def getVersion(self) -> tuple[int, int]:  # noqa: N802
        return 12, 9

    def createProgram(self, source: str, name: str, headers: tuple[str, ...], names: tuple[str, ...]) -> int:  # noqa: N802
        return 1

    def compileProgram(self, program: int, options: Sequence[str]) -> None:  # noqa: N802
        assert isinstance(options, tuple)
        if self.fails_with:
            raise NVRTCError(self.fails_with)

    def getProgramLog(self, program: int) -> str:  # noqa: N802
        return "a log"

    def getCUBIN(self, program: int) -> bytes:  # noqa: N802
        return b"\x7fELF without its last byte"

    def getPTX(self, program: int) -> bytes:  # noqa: N802
        return b"// Cuda compilation tools, release 12.9, V12.9.86\n"

    def destroyProgram(self, program: int) -> None:  # noqa: N802
        self.destroyed += 1


@pytest.fixture
def cupy(no_bindings: None, monkeypatch: pytest.MonkeyPatch) -> FakeCuPy:
    fake, package = FakeCuPy(), ModuleType("cupy.cuda")
    package.nvrtc = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cupy", ModuleType("cupy"))
    monkeypatch.setitem(sys.modules, "cupy.cuda", package)
    return fake


def test_the_version_tells_the_build() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", nvrtc_version())


def test_neither_is_installed(no_bindings: None) -> None:
    with pytest.raises(
        NvrtcMissingError, match=r"neither cuda-bindings nor CuPy is installed.*dsabench\[cuda13\]"
    ) as caught:
        nvrtc_version()
    assert "\n" not in str(caught.value)


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Any) -> None:
        raise RuntimeError('Failure finding "libnvrtc.so": no such file\nand much more')

    monkeypatch.setattr(nvrtc._CudaBindings, "__init__", missing)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(
        NvrtcMissingError, match=r'cuda-bindings: Failure finding "libnvrtc.so": no such file\)'
    ) as caught:
        nvrtc_version()
    assert "\n" not in str(caught.value)


def test_cupy_stands_in_and_its_lost_byte_is_put_back(cupy: FakeCuPy) -> None:
    result = run_nvrtc("", "x.cu", ["--gpu-architecture=sm_90a"])
    assert result.ok
    assert result.cubin == b"\x7fELF without its last byte\0"
    assert result.log == "a log"
    assert cupy.destroyed == 1
    assert nvrtc_version() == "12.9.86"


def test_cupys_compile_error_is_a_result(cupy: FakeCuPy) -> None:
    cupy.fails_with = 6
    result = run_nvrtc("", "x.cu", [])
    assert (result.ok, result.log, result.cubin) == (False, "a log", b"")
    cupy.fails_with = 1
    with pytest.raises(NVRTCError):
        run_nvrtc("", "x.cu", [])
    assert cupy.destroyed == 2


def test_an_option_that_nvrtc_does_not_know() -> None:
    with pytest.raises(RuntimeError, match="NVRTC_ERROR_INVALID_OPTION"):
        run_nvrtc("", "x.cu", ["--no-such-option"])
