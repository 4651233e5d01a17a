"""A CuPy that only notes what it is told, in the place of the one that would need a driver."""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from dsabench.kernels.cuda import launching


@dataclass(frozen=True)
class SimpleStream:
    number: int


@dataclass
class Driver:
    """What CuPy was told. launches: (device, stream, entry, grid, block, arguments, shared bytes)."""

    device: int = 0
    stream: Any = None
    modules: list[Path] = field(default_factory=list)
    launches: list[tuple[Any, ...]] = field(default_factory=list)
    allowed: list[int] = field(default_factory=list)
    attributes: list[tuple[Any, int, int]] = field(default_factory=list)
    within: list[Any] = field(default_factory=list)


def install(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Driver:
    """cache: of the user."""
    driver = Driver(stream=SimpleStream(7))

    class Kernel:
        def __init__(self, entry: str) -> None:
            self.entry = entry
            self.kernel = SimpleNamespace(ptr=f"pointer of {entry}")

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "max_dynamic_shared_size_bytes":
                driver.allowed.append(value)
            super().__setattr__(name, value)

        def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int) -> None:
            driver.launches.append((driver.device, driver.within[-1], self.entry, grid, block, args, shared_mem))

    class RawModule:
        def __init__(self, *, path: str) -> None:
            assert Path(path).read_bytes().startswith(b"\x7fELF")
            driver.modules.append(Path(path))

        def get_function(self, entry: str) -> Kernel:
            return Kernel(entry)

    class Stream:
        @classmethod
        def from_external(cls, stream: Any) -> Stream:
            found = cls()
            found.number = stream.number
            return found

        def __enter__(self) -> None:
            driver.within.append(self.number)

        def __exit__(self, *error: Any) -> None:
            driver.within.pop()

    cupy, cuda, low = ModuleType("cupy"), ModuleType("cupy.cuda"), ModuleType("cupy_backends.cuda.api.driver")
    cupy.RawModule, cuda.Stream = RawModule, Stream  # type: ignore[attr-defined]
    low.funcSetAttribute = lambda *call: driver.attributes.append(call)  # type: ignore[attr-defined]
    for module in (cupy, cuda, low):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: driver.device)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: driver.stream)
    monkeypatch.setattr(launching, "_kernels", {})
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(cache))
    monkeypatch.setattr(launching, "_module", functools.cache(launching._module.__wrapped__))
    monkeypatch.setattr(launching, "_stream", functools.cache(launching._stream.__wrapped__))
    return driver
