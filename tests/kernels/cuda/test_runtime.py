"""Where CUDA C++ kernels can run, said in one line; and that what is asked needs neither CuPy nor cuda-bindings."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from dsabench.kernels.cuda import runtime
from dsabench.kernels.cuda.implementation import cuda_implementation
from dsabench.kernels.cuda.nvrtc import NvrtcMissingError
from dsabench.kernels.cuda_driver import DriverDevice
from dsabench.kernels.ledger import hardware_note, needs_hardware
from tests.kernels.cuda.launches import scale


@pytest.fixture
def hopper(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is there: a GPU, CuPy, NVRTC."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(runtime, "driver_devices", lambda: [DriverDevice("NVIDIA H100", "", 132, (9, 0))])
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(runtime, "nvrtc_version", lambda: "13.0.88")


def test_nothing_is_missing(hopper: None) -> None:
    assert runtime.unavailable() is None


def test_no_gpu(hopper: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "driver_devices", list)
    assert runtime.unavailable() == "needs an NVIDIA GPU"


@pytest.mark.parametrize("capability", [(8, 0), (10, 0)])
def test_another_gpu(hopper: None, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(runtime, "driver_devices", lambda: [DriverDevice("another", "", 100, capability)])
    assert "written for sm_90a, this GPU is sm_" in str(runtime.unavailable())


@pytest.mark.parametrize(("cuda", "extra"), [("13.0", "cuda13"), ("12.8", "cuda12"), (None, "cuda13")])
def test_no_cupy(hopper: None, monkeypatch: pytest.MonkeyPatch, cuda: str | None, extra: str) -> None:
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    assert runtime.unavailable() == f"needs CuPy: pip install 'dsabench[{extra}]'"


def test_no_nvrtc(hopper: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise NvrtcMissingError("no NVRTC: pip install it")

    monkeypatch.setattr(runtime, "nvrtc_version", missing)
    assert runtime.unavailable() == "no NVRTC: pip install it"


def test_the_implementation_of_a_plan() -> None:
    plan = lambda inputs, outputs, config: [scale()]
    made = cuda_implementation("topk_select", "a test's", (), lambda axes: {}, lambda config, axes: None, plan)
    assert (made.id, made.device_types, made.plan) == ("topk_select/cuda", ("cuda",), plan)
    assert needs_hardware(made)
    assert hardware_note("topk_select", "cuda") == "unverified on hardware"


def test_importing_needs_no_compiler() -> None:
    code = (
        "import sys; sys.modules['cupy'] = sys.modules['cuda'] = None\n"
        "import dsabench.kernels.cuda.implementation, dsabench.kernels.cuda.launching, dsabench.kernels.cuda.cache\n"
        "from dsabench.kernels.cuda.runtime import unavailable\n"
        "assert 'triton' not in sys.modules; print(unavailable())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "needs an NVIDIA GPU"
