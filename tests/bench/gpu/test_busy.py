"""A GPU in use is refused in one line that says by whom, and a free one is not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsabench.bench.device import DeviceError
from dsabench.bench.gpu import busy
from dsabench.bench.gpu.busy import GpuBusyError, GpuLock, lock_folder, why_busy
from dsabench.bench.gpu.nvml import Sensor
from dsabench.bench.gpu.selection import Gpu
from tests.bench.gpu.fake_nvml import FakeNvml, process

GPU = Gpu(0, "GPU-a", "NVIDIA H200", 132, (9, 0))
OTHER = Gpu(1, "GPU-b", "NVIDIA H200", 132, (9, 0))


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the looks are spread over; nothing waits."""
    slept: list[float] = []
    monkeypatch.setattr(busy.time, "sleep", slept.append)
    return slept


def test_other_processes_are_named_with_what_is_known_of_them(nvml: FakeNvml, sensor: Sensor) -> None:
    nvml.running = [process(7, 3 * 2**30), process(8, None), process(9, 2**20)]
    nvml.names = {7: "vllm", 8: "python"}
    assert why_busy(sensor, set()) == "other processes use it: 7 (vllm, 3072 MiB), 8 (python), 9 (1 MiB)"
    assert why_busy(sensor, {7, 9}) == "other processes use it: 8 (python)"


def test_our_own_process_its_memory_and_its_work_are_no_strangers(nvml: FakeNvml, sensor: Sensor) -> None:
    nvml.running, nvml.memory_used, nvml.utilizations = [process(7, 2**36)], 2**36, [100]
    assert why_busy(sensor, {7}) == ""


def test_memory_without_a_process_is_another_containers(nvml: FakeNvml, sensor: Sensor) -> None:
    nvml.memory_used = busy.HIDDEN_BYTES
    assert why_busy(sensor, {os.getpid()}) == ""
    nvml.memory_used = 70 * 2**30
    assert "70.0 GiB of its memory" in why_busy(sensor, {os.getpid()})


def test_work_without_a_process_is_seen(nvml: FakeNvml, sensor: Sensor, naps: list[float]) -> None:
    nvml.utilizations = [97, 95, 99, 96, 97, 98]
    assert why_busy(sensor, set()) == "it is at least 95 % busy, with no process to be seen from here"
    assert sum(naps) == pytest.approx(0.5)


def test_a_gpu_that_has_just_come_free_is_free(nvml: FakeNvml, sensor: Sensor, naps: list[float]) -> None:
    nvml.utilizations = [80, 30, 5, 80, 80, 80]
    assert why_busy(sensor, set()) == ""
    assert len(naps) == 2


@pytest.mark.parametrize("percent", [0, busy.UTILIZATION_PERCENT])
def test_a_little_work_is_no_neighbour_and_takes_one_look(
    nvml: FakeNvml, sensor: Sensor, naps: list[float], percent: int
) -> None:
    nvml.utilizations = [percent]
    assert why_busy(sensor, set()) == ""
    assert naps == []


def test_a_driver_that_tells_nothing_refuses_nobody(nvml: FakeNvml, sensor: Sensor) -> None:
    nvml.missing = {
        "nvmlDeviceGetComputeRunningProcesses",
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetUtilizationRates",
    }
    assert why_busy(sensor, set()) == ""


Holder = Callable[[Gpu, str], "subprocess.Popen[str]"]


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    """Starts another process that holds the lock of a GPU until it is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(gpu: Gpu, command: str) -> subprocess.Popen[str]:
        code = (
            "import sys, time\n"
            "from pathlib import Path\n"
            "from dsabench.bench.gpu.busy import GpuLock\n"
            "from dsabench.bench.gpu.selection import Gpu\n"
            f"with GpuLock({gpu!r}, {command!r}, Path({str(tmp_path)!r})):\n"
            "    print('held', flush=True)\n"
            "    time.sleep(120)\n"
        )
        started.append(subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True))
        output = started[-1].stdout
        assert output is not None
        assert output.readline() == "held\n"
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


def test_a_second_tuner_is_refused_with_the_name_of_the_first(holder: Holder, tmp_path: Path) -> None:
    first = holder(GPU, "dsabench tune --device cuda")
    with pytest.raises(GpuBusyError) as caught, GpuLock(GPU, "dsabench compare", tmp_path):
        pass
    message = str(caught.value)
    assert message.startswith(f"GPU 0 (NVIDIA H200) is in use by another dsabench: process {first.pid} since ")
    assert message.endswith(", dsabench tune --device cuda")
    assert "\n" not in message
    assert isinstance(caught.value, DeviceError), "the command line tells devices' errors in one line"


def test_another_gpu_is_another_lock(holder: Holder, tmp_path: Path) -> None:
    holder(GPU, "dsabench tune")
    with GpuLock(OTHER, "dsabench tune", tmp_path):
        pass


def test_a_killed_holder_leaves_a_free_gpu(holder: Holder, tmp_path: Path) -> None:
    first = holder(GPU, "dsabench tune")
    first.send_signal(signal.SIGKILL)
    first.wait()
    with GpuLock(GPU, "mine", tmp_path):
        (told,) = [json.loads(p.read_text()) for p in tmp_path.glob("*.json")]
        assert (told["pid"], told["command"]) == (os.getpid(), "mine")


def test_it_is_free_again_afterwards_and_names_nobody(tmp_path: Path) -> None:
    for _ in range(2):
        with GpuLock(GPU, "dsabench tune", tmp_path):
            assert list(tmp_path.glob("*.json"))
        assert not list(tmp_path.glob("*.json"))


def test_files_in_a_shared_folder_tell_no_uuid(tmp_path: Path) -> None:
    with GpuLock(GPU, "dsabench tune", tmp_path):
        for path in tmp_path.iterdir():
            assert "GPU-a" not in path.name + path.read_text()


def test_a_holder_that_says_nothing_still_holds(holder: Holder, tmp_path: Path) -> None:
    holder(GPU, "dsabench tune")
    for path in tmp_path.glob("*.json"):
        path.write_text("{")
    with pytest.raises(GpuBusyError, match="it does not say which"), GpuLock(GPU, "", tmp_path):
        pass


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(GpuBusyError, match=r"cannot be locked in .*/file/locks: "),
        GpuLock(GPU, "", tmp_path / "file" / "locks"),
    ):
        pass


def test_the_folder_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(busy.tempfile, "gettempdir", lambda: str(tmp_path))
    assert lock_folder().parent == tmp_path
    assert str(os.getuid()) in lock_folder().name
    with GpuLock(GPU, "dsabench tune"):
        assert lock_folder().stat().st_mode & 0o077 == 0
