"""Launches through a CuPy that only notes what it is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dsabench.kernels.cuda import launching
from dsabench.kernels.cuda.source import runner
from tests.kernels.cuda.launches import rank, scale

NON_PORTABLE_CLUSTER_SIZE_ALLOWED = 14


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


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Driver]:
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
    monkeypatch.setenv("DSABENCH_CACHE_DIR", str(tmp_path))
    launching._module.cache_clear()
    launching._stream.cache_clear()
    yield driver
    launching._module.cache_clear()
    launching._stream.cache_clear()


@dataclass(frozen=True)
class SimpleStream:
    number: int


def test_tensors_go_by_pointer_and_scalars_by_type(driver: Driver) -> None:
    source, target = torch.empty(1000), torch.empty(1000)
    arguments = (source, None, np.int64(1000), np.int32(3), np.float32(0.5))
    scale(arguments=arguments).run()
    scale(arguments=(source, target, *arguments[2:])).run()
    (first, second) = driver.launches
    assert first[:5] == (0, 7, "scale", (8,), (128,))
    assert first[5] == (source.data_ptr(), 0, 1000, 3, 0.5)
    assert [type(argument) for argument in first[5]] == [int, int, np.int64, np.int32, np.float32]
    assert first[6] == 512
    assert second[5][1] == target.data_ptr()
    assert driver.within == []


def test_loaded_once_for_each_device_and_config(driver: Driver) -> None:
    for device in (0, 1, 0, 1):
        driver.device = device
        scale().run()
        scale(constants={"BLOCK": 256}, block=(256,)).run()
    assert len(driver.modules) == 4
    assert len(set(driver.modules)) == 2
    assert [launch[0] for launch in driver.launches] == [0, 0, 1, 1, 0, 0, 1, 1]


def test_on_torchs_current_stream(driver: Driver) -> None:
    scale().run()
    driver.stream = SimpleStream(8)
    scale().run()
    assert [launch[1] for launch in driver.launches] == [7, 8]


def test_shared_memory_beyond_48_kb_is_asked_for_once(driver: Driver) -> None:
    for size in (512, 48 * 1024, 60_000, 50_000, 60_000, 70_000):
        scale(shared_bytes=size).run()
    assert driver.allowed == [60_000, 70_000]
    assert [launch[6] for launch in driver.launches] == [512, 48 * 1024, 60_000, 50_000, 60_000, 70_000]


def test_clusters_of_more_than_8_are_allowed_first(driver: Driver) -> None:
    rank(8).run()
    assert driver.attributes == []
    rank(16, blocks=16).run()
    assert driver.attributes == [("pointer of rank", NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)]


def test_a_plan_runs_in_its_order(driver: Driver) -> None:
    runner(lambda inputs, outputs, config: [scale(), rank(), scale(grid=(1,))])(None, (), {})
    assert [(launch[2], launch[3]) for launch in driver.launches] == [("scale", (8,)), ("rank", (8,)), ("scale", (1,))]
