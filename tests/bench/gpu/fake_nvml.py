"""A pynvml module that answers for some GPUs; what a test puts into `missing` it does not support, what it deletes it lacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):  # noqa: N801, N818 - its name in pynvml
    pass


class NVMLLibraryMismatchError(Exception):
    pass


@dataclass
class FakeNvml:
    """One GPU whose UUID is GPU-a, at index 0, with one MIG instance MIG-i. Powers in mW as NVML has them."""

    init_error: Exception | None = None
    missing: set[str] = field(default_factory=set)
    mismatched: set[str] = field(default_factory=set)
    bits: int = 0
    sm_mhz: int = 1980
    power_mw: int = 350_500
    mean_power_mw: int = 200_000
    running: list[Any] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    utilizations: list[int] = field(default_factory=lambda: [0])
    memory_used: int = 4 * 2**20
    reserve: int = 600 * 2**20
    asked: list[str] = field(default_factory=list)

    NVMLError = NVMLError
    NVMLLibraryMismatchError = NVMLLibraryMismatchError
    NVML_SUCCESS = 0
    NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2
    NVML_TEMPERATURE_GPU = 0
    NVML_FI_DEV_POWER_INSTANT = 186

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name.startswith("nvml"):
            self.asked.append(name)
            if name in self.missing:
                return _raising(NVMLError_NotSupported("Not Supported"))
            if name in self.mismatched:
                return _raising(NVMLLibraryMismatchError("Unversioned function called"))
        return value

    def nvmlInit(self) -> None:  # noqa: N802
        if self.init_error:
            raise self.init_error

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        if index:
            raise NVMLError("Invalid Argument")
        return "whole"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid not in ("GPU-a", "MIG-i"):
            raise NVMLError("Not Found")
        return "whole" if uuid == "GPU-a" else "instance"

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle: str) -> str:  # noqa: N802
        assert handle == "instance"
        return "whole"

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:  # noqa: N802
        assert handle == "whole", "an instance has no clocks"
        return {1: self.sm_mhz, 2: 2619}[kind]

    def nvmlDeviceGetMaxClockInfo(self, handle: str, kind: int) -> int:  # noqa: N802
        return {1: 1980, 2: 2619}[kind]

    def nvmlDeviceGetFieldValues(self, handle: str, fields: list[int]) -> list[Any]:  # noqa: N802
        assert fields == [186]
        return [SimpleNamespace(nvmlReturn=0, value=SimpleNamespace(uiVal=self.power_mw))]

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:  # noqa: N802
        return self.mean_power_mw

    def nvmlDeviceGetTemperatureV(self, handle: str, sensor: int) -> int:  # noqa: N802
        return 41

    def nvmlDeviceGetTemperature(self, handle: str, sensor: int) -> int:  # noqa: N802
        return 42

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:  # noqa: N802
        return self.bits

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:  # noqa: N802
        return self.bits

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:  # noqa: N802
        return self.running if handle == "whole" else []

    def nvmlSystemGetProcessName(self, pid: int) -> str:  # noqa: N802
        if pid not in self.names:
            raise NVMLError("Not Found")
        return self.names[pid]

    def nvmlDeviceGetUtilizationRates(self, handle: str) -> Any:  # noqa: N802
        value = self.utilizations[0] if len(self.utilizations) == 1 else self.utilizations.pop(0)
        return SimpleNamespace(gpu=value, memory=0)

    def nvmlDeviceGetMemoryInfo(self, handle: str, version: int | None = None) -> Any:  # noqa: N802
        if version is not None and "memory v2" in self.missing:
            raise NVMLError_NotSupported("Not Supported")
        return SimpleNamespace(used=self.memory_used + (0 if version else self.reserve))

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.65.06"

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:  # noqa: N802
        return 650_000

    def nvmlDeviceGetPowerManagementDefaultLimit(self, handle: str) -> int:  # noqa: N802
        return 700_000

    def nvmlDeviceGetEccMode(self, handle: str) -> list[int]:  # noqa: N802
        return [1, 1]

    def nvmlDeviceGetMigMode(self, handle: str) -> list[int]:  # noqa: N802
        return [0, 0]

    def nvmlDeviceGetPersistenceMode(self, handle: str) -> int:  # noqa: N802
        return 1


def _raising(error: Exception) -> Any:
    def call(*_: Any) -> None:
        raise error

    return call


def process(pid: int, used_bytes: int | None) -> Any:
    return SimpleNamespace(pid=pid, usedGpuMemory=used_bytes)
