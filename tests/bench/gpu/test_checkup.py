"""What `dsabench doctor` says of a GPU machine, on drivers, torch builds and sensors that the test makes up."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from dsabench.bench.finding import Finding
from dsabench.bench.gpu import checkup
from dsabench.bench.gpu.checkup import (
    chip_finding,
    extra,
    gpu_findings,
    launcher_findings,
    state_findings,
    torch_finding,
)
from dsabench.bench.gpu.nvml import GpuProcess
from dsabench.bench.gpu.selection import Gpu
from dsabench.kernels import cuda_driver
from tests.bench.gpu.fake_driver import FakeDriver, FakeGpu

H100 = Gpu(0, "GPU-a", "NVIDIA H100 80GB HBM3", 132, (9, 0))


@dataclass
class FakeSensor:
    told: dict[str, str] = field(default_factory=dict)
    running: list[GpuProcess] = field(default_factory=list)

    def facts(self) -> dict[str, str]:
        usual = {"power_limit_w": "700", "power_limit_default_w": "700", "clocks_limited_by_user": "no", "mig": "off"}
        return usual | self.told

    def processes(self) -> list[GpuProcess]:
        return self.running

    def memory_used(self) -> int:
        return 2**20

    def utilization(self) -> int:
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """One H100 that torch can use, with NVML, a C compiler and Python's headers."""
    fake = FakeDriver([FakeGpu()])
    monkeypatch.setattr(cuda_driver, "load_driver", lambda: fake)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "__version__", "2.13.0+cu130")
    monkeypatch.setattr(checkup, "why_no_nvml", lambda: "")
    monkeypatch.setattr(checkup, "open_sensor", lambda name: FakeSensor())
    monkeypatch.setattr(checkup, "launcher_findings", list)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return fake


def wrong(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.state != "ok"]


def test_a_machine_with_all_it_needs(driver: FakeDriver) -> None:
    findings = gpu_findings()
    assert wrong(findings) == []
    assert [f.subject for f in findings] == ["driver", "torch's cuda", "gpu", "gpu 0"]
    assert "132 SMs" in findings[2].text


def test_no_driver_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_driver, "load_driver", lambda: None)
    (finding,) = gpu_findings()
    assert finding.state == "note"


def test_a_driver_that_does_not_work_names_its_error(driver: FakeDriver) -> None:
    driver.init = 802
    (finding,) = gpu_findings()
    assert finding.state == "missing"
    assert "CUDA_ERROR_SYSTEM_NOT_READY" in finding.text


def test_hidden_gpus_are_told_from_none(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    driver.gpus = []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (finding,) = wrong(gpu_findings())
    assert finding.text == "a driver is here, but no GPU; CUDA_VISIBLE_DEVICES=: the CPU is the device"


@pytest.mark.parametrize(
    ("built_for", "usable", "cuda", "state", "says"),
    [
        ("13.0", True, "13.1", "ok", ""),
        ("13.0", True, "13.0", "ok", ""),
        (None, False, "13.0", "missing", "install a CUDA build of torch in its place, for CUDA 13 or older"),
        (None, False, "12.8", "missing", "for CUDA 12 or older"),
        (None, False, "unknown", "missing", "install a CUDA build of torch in its place"),
        ("13.0", False, "12.8", "missing", "a build of torch for CUDA 12.8 or older"),
        ("12.6", False, "13.0", "missing", "torch.cuda.init()"),
        ("12.6", False, "unknown", "missing", "torch.cuda.init()"),
    ],
)
def test_torch_and_driver_must_fit(built_for: str | None, usable: bool, cuda: str, state: str, says: str) -> None:
    finding = torch_finding("2.13.0", built_for, usable, cuda)
    assert finding.state == state
    assert says in finding.advice
    assert cuda in finding.text


def test_without_nvml_the_extra_is_that_of_the_driver(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    why = "nvidia-ml-py is not installed: pip install nvidia-ml-py"
    monkeypatch.setattr(checkup, "why_no_nvml", lambda: why)
    monkeypatch.setattr(checkup, "open_sensor", lambda name: None)
    driver.version = 12080
    (finding,) = wrong(gpu_findings())
    assert finding.advice == "pip install 'dsabench[cuda12]'"
    assert [extra(cuda) for cuda in ("13.0", "14.2", "12.4")] == ["'dsabench[cuda13]'"] * 2 + ["'dsabench[cuda12]'"]


@pytest.mark.parametrize(
    ("capability", "state"), [((9, 0), "ok"), ((8, 0), "note"), ((10, 0), "note"), ((12, 0), "note")]
)
def test_only_hopper_is_what_the_kernels_are_for(capability: tuple[int, int], state: str) -> None:
    assert chip_finding(Gpu(1, "GPU-b", "a chip", 100, capability)).state == state


@pytest.mark.parametrize(
    ("sensor", "says"),
    [
        (FakeSensor({"mig": "on"}), "a slice of 132 SMs"),
        (FakeSensor({"power_limit_w": "500"}), "limited to 500 W, by default 700 W"),
        (FakeSensor({"clocks_limited_by_user": "yes"}), "clocks are set by a user"),
        (FakeSensor(running=[GpuProcess(1, 2**30, "train")]), "busy: other processes use it: 1 (train, 1024 MiB)"),
    ],
)
def test_what_would_show_in_the_figures(sensor: FakeSensor, says: str) -> None:
    (finding,) = state_findings(H100, sensor)  # type: ignore[arg-type]
    assert finding.state == "note"
    assert says in finding.text


def test_what_a_driver_does_not_tell_is_no_fault() -> None:
    silent = FakeSensor(dict.fromkeys(FakeSensor().facts(), "unknown"))
    (finding,) = state_findings(H100, silent)  # type: ignore[arg-type]
    assert (finding.state, finding.text) == ("ok", "free")
    assert state_findings(H100, None) == []


def test_a_mig_instance_is_known_by_its_name() -> None:
    (finding,) = state_findings(Gpu(0, "MIG-a", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", 16, (9, 0)), None)
    assert "a slice of 16 SMs" in finding.text


def test_the_launcher_needs_a_compiler_and_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(checkup.sysconfig, "get_paths", lambda scheme: {"include": str(tmp_path)})
    (tmp_path / "Python.h").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    (finding,) = wrong(launcher_findings())
    assert "no gcc and no clang" in finding.text
    (tmp_path / "clang").touch(mode=0o755)
    assert wrong(launcher_findings()) == []
    monkeypatch.setenv("CC", "icx")
    (finding,) = wrong(launcher_findings())
    assert "CC=icx does not exist" in finding.text
    monkeypatch.delenv("CC")
    (tmp_path / "Python.h").unlink()
    (finding,) = wrong(launcher_findings())
    assert "Python.h does not exist" in finding.text
    assert "-dev" in finding.advice
