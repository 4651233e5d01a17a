"""Which GPU a number means and how a worker gets to see that one alone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from dsabench.bench.child_process import child_environment
from dsabench.bench.gpu.selection import Gpu, gpu_environment, visible_gpus
from dsabench.kernels import cuda_driver
from tests.bench.gpu.fake_driver import FakeDriver, FakeGpu

UUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    fake = FakeDriver()
    monkeypatch.setattr(cuda_driver, "load_driver", lambda: fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return fake


def test_gpus_are_numbered_as_cuda_offers_them_and_named_by_uuid(driver: FakeDriver) -> None:
    driver.gpus = [FakeGpu(), FakeGpu("NVIDIA T4", bytes(15) + b"\x01", 40, (7, 5))]
    assert visible_gpus() == [
        Gpu(0, f"GPU-{UUID}", "NVIDIA H100 80GB HBM3", 132, (9, 0)),
        Gpu(1, "GPU-00000000-0000-0000-0000-000000000001", "NVIDIA T4", 40, (7, 5)),
    ]


@pytest.mark.parametrize("visible", ["3", "2,3", f"GPU-{UUID}", "GPU-0001"])
def test_what_the_user_named_comes_to_a_uuid(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch, visible: str) -> None:
    """The driver has followed the variable already: its first device is the first one named."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    driver.gpus = [FakeGpu()]
    assert [gpu.visible for gpu in visible_gpus()] == [f"GPU-{UUID}"]


def test_mig_instances_keep_the_name_that_the_user_gave_or_get_their_own(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.gpus = [FakeGpu("NVIDIA H100 80GB HBM3 MIG 1g.10gb", sms=16)]
    assert visible_gpus()[0].visible == f"MIG-{UUID}"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-GPU-old-style/1/0, MIG-other")
    assert visible_gpus()[0].visible == "MIG-GPU-old-style/1/0"


def test_no_driver_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "load_driver", lambda: None)
    assert visible_gpus() == []


def test_a_worker_sees_the_one_gpu_and_compiles(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setenv("CUDA_MODULE_LOADING", "EAGER")
    driver.gpus = [FakeGpu(uuid=bytes(16)), FakeGpu()]
    code = (
        "import os\n"
        "print([os.environ.get(n) for n in ('CUDA_VISIBLE_DEVICES', 'TRITON_INTERPRET', 'CUDA_MODULE_LOADING')])"
    )
    with child_environment(gpu_environment(visible_gpus()[1])):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"['GPU-{UUID}', None, 'EAGER']"
    assert os.environ["TRITON_INTERPRET"] == "1"
