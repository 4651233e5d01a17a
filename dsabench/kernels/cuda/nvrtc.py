"""NVRTC, NVIDIA's run-time compiler of CUDA C++, through cuda-bindings or else CuPy. It needs no driver and no CUDA toolkit.

Source: NVRTC 13 documentation. cuda-bindings loads the library of the `nvidia-cuda-nvrtc` wheel by itself (cuda-pathfinder); CuPy does
the same, and is what a CUDA 12 installation has.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

NVRTC = "nvrtc"
"""Its name among versions; no package's: a toolkit of the system may bring it."""
_WHERE = "pip install 'dsabench[cuda13]' (or [cuda12]) brings it; no CUDA toolkit is needed"

_ERROR_COMPILATION = 6  # nvrtcResult


class NvrtcMissingError(Exception):
    """No NVRTC that works; the message is one line and names the pip extra that brings it."""


@dataclass(frozen=True)
class NvrtcResult:
    """ok: whether it compiled; log: of NVRTC and, with `--ptxas-options=-v`, of ptxas; cubin, ptx: empty unless ok."""

    ok: bool
    log: str
    cubin: bytes
    ptx: str


class _Binding(Protocol):
    def version(self) -> tuple[int, int]: ...

    def compile(self, source: str, name: str, options: Sequence[str]) -> NvrtcResult: ...

    def reserve(self, heap_bytes: int) -> bool: ...


class _CudaBindings:
    def __init__(self) -> None:
        from cuda.bindings import nvrtc

        self._nvrtc = nvrtc
        self.version()  # loads the library

    def version(self) -> tuple[int, int]:
        major, minor = self._checked(self._nvrtc.nvrtcVersion())
        return major, minor

    def compile(self, source: str, name: str, options: Sequence[str]) -> NvrtcResult:
        n = self._nvrtc
        (program,) = self._checked(n.nvrtcCreateProgram(source.encode(), name.encode(), 0, None, None))
        try:
            (status,) = n.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
            ok = status == n.nvrtcResult.NVRTC_SUCCESS
            if not ok and status != n.nvrtcResult.NVRTC_ERROR_COMPILATION:
                self._checked((status,))
            log = self._text(n.nvrtcGetProgramLogSize, n.nvrtcGetProgramLog, program)
            cubin = self._bytes(n.nvrtcGetCUBINSize, n.nvrtcGetCUBIN, program) if ok else b""
            ptx = self._text(n.nvrtcGetPTXSize, n.nvrtcGetPTX, program) if ok else ""
            return NvrtcResult(ok, log, cubin, ptx)
        finally:
            n.nvrtcDestroyProgram(program)

    def reserve(self, heap_bytes: int) -> bool:
        return self._nvrtc.nvrtcSetPCHHeapSize(heap_bytes)[0] == self._nvrtc.nvrtcResult.NVRTC_SUCCESS

    def _bytes(self, size: Callable[..., Any], read: Callable[..., Any], program: Any) -> bytes:
        (length,) = self._checked(size(program))
        data = b" " * length  # the library writes into it
        self._checked(read(program, data))
        return data

    def _text(self, size: Callable[..., Any], read: Callable[..., Any], program: Any) -> str:
        return self._bytes(size, read, program).rstrip(b"\0").decode(errors="replace")

    def _checked(self, returned: tuple[Any, ...]) -> tuple[Any, ...]:
        status, *values = returned
        if status != self._nvrtc.nvrtcResult.NVRTC_SUCCESS:
            raise RuntimeError(f"NVRTC: {status.name}")
        return tuple(values)


class _CuPy:
    def __init__(self) -> None:
        from cupy.cuda import nvrtc

        self._nvrtc = nvrtc
        self.version()

    def version(self) -> tuple[int, int]:
        major, minor = self._nvrtc.getVersion()
        return major, minor

    def compile(self, source: str, name: str, options: Sequence[str]) -> NvrtcResult:
        n = self._nvrtc
        program = n.createProgram(source, name, (), ())
        try:
            ok = True
            try:
                n.compileProgram(program, tuple(options))
            except n.NVRTCError as error:
                if error.status != _ERROR_COMPILATION:
                    raise
                ok = False
            log = n.getProgramLog(program)
            # CuPy takes the cubin for a C string and drops its last byte, a zero.
            cubin = n.getCUBIN(program) + b"\0" if ok else b""
            ptx = n.getPTX(program).decode(errors="replace") if ok else ""
            return NvrtcResult(ok, log, cubin, ptx)
        finally:
            n.destroyProgram(program)

    def reserve(self, heap_bytes: int) -> bool:
        return False  # CuPy 14 has no call for it


@functools.cache
def _binding() -> _Binding:
    failures = []
    for name, binding in (("cuda-bindings", _CudaBindings), ("CuPy", _CuPy)):
        try:
            return binding()
        except ModuleNotFoundError:
            continue
        except (
            Exception
        ) as error:  # cuda-pathfinder, CuPy and the loader each have their own for a library that is not there
            lines = str(error).strip().splitlines()
            failures.append(f"{name}: {lines[0] if lines else type(error).__name__}")
    why = "; ".join(failures) or "neither cuda-bindings nor CuPy is installed"
    raise NvrtcMissingError(f"NVRTC, the compiler of CUDA C++, is missing ({why[:200]}): {_WHERE}")


@functools.cache
def nvrtc_version() -> str:
    """`13.0.88`, of the library that compiles; it tells its build only in what it compiles (0.07 s). Raises NvrtcMissingError."""
    major, minor = _binding().version()
    built = re.search(r"\bV(\d+(?:\.\d+)+)", run_nvrtc("", "version.cu", ["--gpu-architecture=compute_90"]).ptx)
    return built[1] if built else f"{major}.{minor}"


def reserve_for_headers(heap_bytes: int) -> bool:
    """Memory that the compiler's front end may take in compilations with precompiled headers (`-pch`), of this process from now on;
    256 MiB unless said otherwise. False where it cannot be said. Raises NvrtcMissingError."""
    return _binding().reserve(heap_bytes)


def run_nvrtc(source: str, name: str, options: Sequence[str]) -> NvrtcResult:
    """Compiles `source`, called `name` in messages. Raises NvrtcMissingError, RuntimeError when NVRTC itself fails."""
    return _binding().compile(source, name, options)
