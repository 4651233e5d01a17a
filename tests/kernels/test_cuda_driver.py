"""What is asked of the CUDA driver, against a library that answers as it does."""

from __future__ import annotations

import uuid

import pytest

from dsabench.kernels import cuda_driver
from dsabench.kernels.cuda_driver import CudaDriverError, DriverDevice, cuda_driver_version, driver_devices
from tests.bench.gpu.fake_driver import FakeDriver, FakeGpu


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    fake = FakeDriver()
    monkeypatch.setattr(cuda_driver, "load_driver", lambda: fake)
    return fake


def test_devices_come_in_the_drivers_order_and_whole(driver: FakeDriver) -> None:
    driver.gpus = [FakeGpu(), FakeGpu("NVIDIA A100-SXM4-80GB", bytes(16), 108, (8, 0))]
    assert driver_devices() == [
        DriverDevice("NVIDIA H100 80GB HBM3", "00010203-0405-0607-0809-0a0b0c0d0e0f", 132, (9, 0)),
        DriverDevice("NVIDIA A100-SXM4-80GB", str(uuid.UUID(int=0)), 108, (8, 0)),
    ]


def test_no_gpu_behind_a_driver_is_no_error(driver: FakeDriver) -> None:
    assert driver_devices() == []


def test_a_driver_that_does_not_work_names_its_error(driver: FakeDriver) -> None:
    driver.init = 802
    with pytest.raises(CudaDriverError, match=r"cuInit failed: CUDA_ERROR_SYSTEM_NOT_READY \(802\)"):
        driver_devices()
    driver.init = 4711
    with pytest.raises(CudaDriverError, match=r"unknown error \(4711\)"):
        driver_devices()


@pytest.mark.parametrize(("number", "text"), [(13000, "13.0"), (12080, "12.8"), (12090, "12.9")])
def test_the_version_as_people_write_it(driver: FakeDriver, number: int, text: str) -> None:
    driver.version = number
    assert cuda_driver_version() == text


def test_without_a_driver_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "_LIBRARY", "libthere-is-no-such-driver.so.1")
    assert driver_devices() == []
    assert cuda_driver_version() is None
