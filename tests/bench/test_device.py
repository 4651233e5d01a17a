"""What `--device` means, on machines whose driver and torch the test makes up. TRITON_INTERPRET is set in every test process."""

from __future__ import annotations

import pytest
import torch

from dsabench.bench.device import DeviceError, resolve_device
from dsabench.kernels import cuda_driver
from tests.bench.gpu.fake_driver import FakeDriver, FakeGpu

H100, A100 = FakeGpu(), FakeGpu("NVIDIA A100-SXM4-80GB", bytes(16), 108, (8, 0))
B200 = FakeGpu("NVIDIA B200", bytes(16), 148, (10, 0))


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """A CUDA build of torch that gets on with the driver."""
    fake = FakeDriver([H100])
    monkeypatch.setattr(cuda_driver, "load_driver", lambda: fake)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    monkeypatch.delenv("TRITON_INTERPRET")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    # Everything beyond counting would make a context.
    for name in ("init", "_lazy_init", "get_device_properties", "get_device_capability", "current_device"):
        monkeypatch.setattr(torch.cuda, name, lambda *a, name=name: pytest.fail(f"torch.cuda.{name} was called"))
    return fake


@pytest.mark.parametrize(
    ("text", "gpus", "device"),
    [
        ("auto", [H100], "cuda:0"),
        ("auto", [A100, H100], "cuda:1"),
        ("auto", [A100], "cpu"),
        ("auto", [B200], "cuda:0"),
        ("auto", [], "cpu"),
        ("cpu", [H100], "cpu"),
        ("cuda", [H100], "cuda:0"),
        ("cuda:1", [A100, H100], "cuda:1"),
    ],
)
def test_a_gpu_that_the_kernels_are_written_for_is_taken(
    driver: FakeDriver, text: str, gpus: list[FakeGpu], device: str
) -> None:
    driver.gpus = gpus
    assert resolve_device(text) == device


def refusal(text: str) -> str:
    with pytest.raises(DeviceError) as caught:
        resolve_device(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_number_too_high_names_what_is_there(driver: FakeDriver) -> None:
    assert refusal("cuda:2") == "device cuda:2: there is no such GPU here, only cuda:0 (NVIDIA H100 80GB HBM3)"


def test_an_older_chip_is_refused_by_its_architecture(driver: FakeDriver) -> None:
    driver.gpus = [A100]
    assert "the NVIDIA A100-SXM4-80GB is sm_80, the kernels are written for sm_90" in refusal("cuda")


def test_no_gpu(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.gpus = []
    assert refusal("cuda") == "device cuda: there is no NVIDIA GPU here"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    assert refusal("cuda:1") == "device cuda:1: there is no NVIDIA GPU here that CUDA_VISIBLE_DEVICES=7 leaves"


@pytest.mark.parametrize("version", [None, "13.0"])
def test_a_torch_that_cannot_use_the_gpu_says_why(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    driver.version = 12040
    monkeypatch.setattr(torch.version, "cuda", version)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = refusal("cuda")
    if version is None:
        assert "torch 2.13.0+cu130 is built without CUDA" in message
    else:
        assert "for CUDA 13.0 cannot use the NVIDIA driver, which runs CUDA 12.4" in message
    assert resolve_device("auto") == "cpu"


def test_a_broken_driver_is_no_missing_gpu(driver: FakeDriver) -> None:
    driver.init = 802
    assert "the NVIDIA driver does not work: cuInit failed: CUDA_ERROR_SYSTEM_NOT_READY (802)" in refusal("cuda")
    assert resolve_device("auto") == "cpu"


def test_an_interpreting_process_has_no_gpu(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert "TRITON_INTERPRET is set" in refusal("cuda")
    assert resolve_device("auto") == "cpu"


@pytest.mark.parametrize("text", ["tpu", "cuda:", "cuda:x", "cuda:-1", "cpu:0", ""])
def test_other_words_are_no_device(text: str) -> None:
    assert "unknown device" in refusal(text)
