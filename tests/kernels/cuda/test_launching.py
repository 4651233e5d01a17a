"""Launches through a CuPy that only notes what it is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dsabench.kernels.cuda.source import runner
from tests.kernels.cuda.fake_cupy import Driver, SimpleStream, install
from tests.kernels.cuda.launches import rank, scale

NON_PORTABLE_CLUSTER_SIZE_ALLOWED = 14


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Driver:
    return install(monkeypatch, tmp_path)


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
