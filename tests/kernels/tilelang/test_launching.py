"""TileLang launches through a CuPy that only notes what it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dsabench.kernels.cuda.compile import CompiledKernel
from dsabench.kernels.tilelang import cache, launching
from dsabench.kernels.tilelang.compile import CompiledProgram
from dsabench.kernels.tilelang.facts import KernelFacts, LaunchMismatchError
from dsabench.kernels.tilelang.launch import TileLangLaunch
from tests.kernels.cuda.fake_cupy import Driver, SimpleStream, install
from tests.kernels.tilelang.launches import SCALE, scale, scaled


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Driver:
    monkeypatch.setattr(launching, "_programs", {})
    compile_to(monkeypatch, SCALE)
    return install(monkeypatch, tmp_path)


def compile_to(monkeypatch: pytest.MonkeyPatch, facts: KernelFacts) -> list[TileLangLaunch]:
    """The launches that were compiled, to a kernel of these facts."""
    asked: list[TileLangLaunch] = []

    def compile_launch(launch: TileLangLaunch) -> CompiledProgram:
        asked.append(launch)
        return CompiledProgram(CompiledKernel(facts.entry, b"\x7fELF", "", ""), facts)

    monkeypatch.setattr(cache, "compile_launch", compile_launch)
    return asked


def test_arguments_go_in_the_kernels_order(driver: Driver) -> None:
    launch = scale(device="cpu")
    launch.run()
    driver.stream = SimpleStream(8)
    scale(rows=64, arguments=scaled(64, "cpu", target=None)).run()
    first, second = driver.launches
    given = launch.arguments
    assert isinstance(given["source"], torch.Tensor)
    assert isinstance(given["target"], torch.Tensor)
    pointers = (given["source"].data_ptr(), given["target"].data_ptr())
    assert first == (0, 7, "scale_kernel", (16,), (128, 1, 1), (*pointers, 0.5, 1000), 8192)
    assert [type(argument) for argument in first[5]] == [int, int, np.float32, np.int32]
    assert second[1:4] == (8, "scale_kernel", (1,))
    assert second[5][1:] == (0, 0.5, 64)


def test_loaded_once_for_each_device_and_config(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = compile_to(monkeypatch, SCALE)
    for device in (0, 1, 0, 1):
        driver.device = device
        scale(device="cpu").run()
        scale(rows=200, device="cpu").run()
        scale(device="cpu", pass_configs={"tl.enable_fast_math": True}).run()
    assert len(driver.modules) == 4  # two configs on two devices
    assert len(asked) == 2
    assert [launch[0] for launch in driver.launches] == [0] * 3 + [1] * 3 + [0] * 3 + [1] * 3


def test_every_new_grid_and_dimension_is_checked(driver: Driver) -> None:
    scale(device="cpu").run()
    for wrong in (scale(device="cpu", grid=(15,)), scale(rows=1024, arguments=scaled(1000, "cpu", n=np.int32(1024)))):
        with pytest.raises(LaunchMismatchError):
            wrong.run()
    with pytest.raises(LaunchMismatchError, match="factor is float32"):
        scale(device="cpu", arguments=scaled(1000, "cpu", factor=np.float64(1))).run()
    assert len(driver.launches) == 1


def test_shared_memory_and_clusters_are_the_lowered_functions(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    compile_to(monkeypatch, replace(SCALE, shared_bytes=200_000, cluster=16))
    for _ in range(2):
        scale(device="cpu").run()
    assert driver.allowed == [200_000]
    assert [launch[6] for launch in driver.launches] == [200_000] * 2
    assert driver.attributes == [("pointer of scale_kernel", 14, 1)]
