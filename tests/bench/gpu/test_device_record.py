"""The GPU as the journal records it: torch.cuda answers as on an H100."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dsabench.bench.gpu.device_record import gpu_device
from dsabench.bench.gpu.nvml import Sensor
from dsabench.bench.records import DeviceRecord
from dsabench.kernels.machine import usable_cpus
from tests.bench.gpu.fake_nvml import FakeNvml, NVMLError


@pytest.fixture(autouse=True)
def h100(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(
        name="NVIDIA H100 80GB HBM3", major=9, minor=0, multi_processor_count=132, total_memory=85_000_000_000,
        L2_cache_size=50 * 2**20,
    )  # fmt: skip
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: {0: properties}[device])
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a")
    monkeypatch.setenv("CUDA_MODULE_LOADING", "EAGER")


def test_it_says_what_runs(sensor: Sensor) -> None:
    device = gpu_device(sensor)
    assert (device.type, device.key) == ("cuda", "cuda-nvidia-h100-80gb-hbm3-132sm")
    assert (device.cores, device.isa, device.threads) == (132, ["sm_90"], usable_cpus())
    assert (device.memory_bytes, device.last_level_cache_bytes) == (85_000_000_000, 50 * 2**20)
    expected = {
        "cuda_runtime": "13.0",
        "driver": "580.65.06",
        "power_limit_w": "650",
        "clocks_limited_by_user": "no",
        "env.CUDA_MODULE_LOADING": "EAGER",
        "env.OMP_NUM_THREADS": str(usable_cpus()),
    }
    assert {name: device.details.get(name) for name in expected} == expected
    assert "nvml" not in device.details
    assert DeviceRecord.model_validate_json(device.model_dump_json()) == device


def test_no_uuid_gets_into_the_journal(sensor: Sensor) -> None:
    assert "GPU-a" not in gpu_device(sensor).model_dump_json()


def test_without_nvml_the_record_says_what_is_unknown_and_why(nvml: FakeNvml) -> None:
    nvml.init_error = NVMLError("Driver Not Loaded")
    assert gpu_device(None).details["nvml"] == "NVML does not start: Driver Not Loaded"
    nvml.init_error = None
    assert gpu_device(None).details["nvml"] == "it does not know this GPU"
