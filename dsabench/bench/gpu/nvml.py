"""A GPU's clocks, power, temperature and processes through NVML. nvidia-ml-py and the driver's library are optional: without them
there is no sensor, and what one driver does not tell is None.

Source: NVML API reference, "Device Queries". Neither serial numbers nor UUIDs are among the facts: those go into journals.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_USER_SETTING = 0x2
_REASONS = (
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal_slowdown"),
    (0x40, "hw_thermal_slowdown"),
    (0x80, "hw_power_brake"),
    (0x100, "display_clocks"),
    (0x200, "board_limit"),
    (0x400, "reliability"),
)
"""Bits of NVML's clock event reasons, once called throttle reasons. An idle GPU (0x1) and clocks set by the user are none."""
_MEMORY_V2 = 0x02000028
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Reading:
    """The GPU at one moment; None where the driver does not tell. Clocks in MHz, power in W, temperature in °C; reasons: why the
    driver holds the clock down."""

    sm_mhz: float | None
    memory_mhz: float | None
    power_w: float | None
    temperature_c: float | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class GpuProcess:
    """A process that computes on the GPU. pid: in the host's numbering, also inside a container; name: "" where unreadable."""

    pid: int
    used_bytes: int | None
    name: str


def why_no_nvml() -> str:
    """Why no GPU's state can be read here, and what would help; "" when it can."""
    nvml = _load()
    return nvml if isinstance(nvml, str) else ""


def open_sensor(uuid_or_index: str | int) -> Sensor | None:
    """The sensor of a GPU or MIG instance by its UUID (`GPU-…`, `MIG-…`, or without a prefix, as torch's device properties have it) or
    by NVML's own index (digits), which follows the bus and not CUDA_VISIBLE_DEVICES. None without NVML and where it does not know
    the GPU."""
    nvml = _load()
    if isinstance(nvml, str):
        return None
    named = str(uuid_or_index)
    names = [named] if named.isdigit() or named[:4] in ("GPU-", "MIG-") else [f"GPU-{named}", f"MIG-{named}"]
    for name in names:
        try:
            if name.isdigit():
                handle = nvml.nvmlDeviceGetHandleByIndex(int(name))
            else:
                handle = nvml.nvmlDeviceGetHandleByUUID(name)
            # An instance has processes of its own, but clocks, power and temperature are the whole GPU's.
            whole = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle) if name.startswith("MIG-") else handle
        except nvml.NVMLError:
            continue
        return Sensor(nvml, handle, whole)
    return None


def _load() -> Any:
    """The pynvml module, initialised; a text that says why there is none."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return "nvidia-ml-py is not installed: pip install nvidia-ml-py"
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return f"NVML does not start: {error}"
    return nvml


class Sensor:
    """Reads one GPU; made by `open_sensor`. No method raises: NVML functions that a driver, a MIG mode or a sandbox lacks leave
    their value None."""

    def __init__(self, nvml: Any, handle: Any, whole: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        self._whole = whole
        # A function that the library lacks is told by a class of its own; a name cut inside a character by ValueError.
        mismatch = getattr(nvml, "NVMLLibraryMismatchError", nvml.NVMLError)
        self._faults = (nvml.NVMLError, mismatch, AttributeError, ValueError)

    def read(self) -> Reading:
        bits = self._reason_bits() or 0
        return Reading(
            sm_mhz=self._ask(lambda n: n.nvmlDeviceGetClockInfo(self._whole, n.NVML_CLOCK_SM)),
            memory_mhz=self._ask(lambda n: n.nvmlDeviceGetClockInfo(self._whole, n.NVML_CLOCK_MEM)),
            power_w=self._power_w(),
            temperature_c=self._temperature_c(),
            reasons=tuple(name for bit, name in _REASONS if bits & bit),
        )

    def processes(self) -> list[GpuProcess] | None:
        """Those with a compute context; None where the driver does not tell. A container's sandbox may show none at all."""
        found = self._ask(lambda n: n.nvmlDeviceGetComputeRunningProcesses(self._handle))
        if found is None:
            return None
        return [GpuProcess(p.pid, p.usedGpuMemory, self._process_name(p.pid)) for p in found]

    def utilization(self) -> int | None:
        """Percent of the driver's last sampling period (1/6 to 1 s) in which a kernel ran; None on a MIG instance."""
        return self._ask(lambda n: n.nvmlDeviceGetUtilizationRates(self._handle).gpu)

    def memory_used(self) -> int | None:
        """Bytes that contexts hold, whosever they are; without the driver's reserve where it is told apart."""
        apart = self._ask(lambda n: n.nvmlDeviceGetMemoryInfo(self._handle, _MEMORY_V2).used)
        return apart if apart is not None else self._ask(lambda n: n.nvmlDeviceGetMemoryInfo(self._handle).used)

    def facts(self) -> dict[str, str]:
        """What is set and does not move while we measure, by name; `unknown` where the driver does not tell.

        clocks_limited_by_user: `yes` while clocks that a user set (nvidia-smi -ac, -lgc) are what limits; the driver says so only
        while they do, so that `no` on an idle GPU is no promise.
        """
        bits = self._reason_bits()
        return {
            "driver": _text(self._ask(lambda n: n.nvmlSystemGetDriverVersion())),
            "power_limit_w": _text(self._ask(lambda n: n.nvmlDeviceGetEnforcedPowerLimit(self._whole) / 1000)),
            "power_limit_default_w": _text(
                self._ask(lambda n: n.nvmlDeviceGetPowerManagementDefaultLimit(self._whole) / 1000)
            ),
            "max_sm_mhz": _text(self._ask(lambda n: n.nvmlDeviceGetMaxClockInfo(self._whole, n.NVML_CLOCK_SM))),
            "max_memory_mhz": _text(self._ask(lambda n: n.nvmlDeviceGetMaxClockInfo(self._whole, n.NVML_CLOCK_MEM))),
            "clocks_limited_by_user": UNKNOWN if bits is None else "yes" if bits & _USER_SETTING else "no",
            "ecc": _on_off(self._ask(lambda n: n.nvmlDeviceGetEccMode(self._whole)[0])),
            "mig": _on_off(self._ask(lambda n: n.nvmlDeviceGetMigMode(self._whole)[0])),
            "persistence": _on_off(self._ask(lambda n: n.nvmlDeviceGetPersistenceMode(self._whole))),
        }

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        try:
            return question(self._nvml)
        except self._faults:
            return None

    def _reason_bits(self) -> int | None:
        bits = self._ask(lambda n: n.nvmlDeviceGetCurrentClocksEventReasons(self._whole))
        # What older drivers and bindings call it.
        return (
            bits if bits is not None else self._ask(lambda n: n.nvmlDeviceGetCurrentClocksThrottleReasons(self._whole))
        )

    def _power_w(self) -> float | None:
        """nvmlDeviceGetPowerUsage is the mean of the last second on Hopper, longer than most trials: the field comes first."""

        def instant(nvml: Any) -> float | None:
            field = nvml.nvmlDeviceGetFieldValues(self._whole, [nvml.NVML_FI_DEV_POWER_INSTANT])[0]
            return field.value.uiVal / 1000 if field.nvmlReturn == nvml.NVML_SUCCESS else None

        watts = self._ask(instant)
        return watts if watts is not None else self._ask(lambda n: n.nvmlDeviceGetPowerUsage(self._whole) / 1000)

    def _temperature_c(self) -> float | None:
        celsius = self._ask(lambda n: n.nvmlDeviceGetTemperatureV(self._whole, n.NVML_TEMPERATURE_GPU))
        # CUDA 14 is to take this one away; older drivers have no other.
        if celsius is None:
            celsius = self._ask(lambda n: n.nvmlDeviceGetTemperature(self._whole, n.NVML_TEMPERATURE_GPU))
        return celsius

    def _process_name(self, pid: int) -> str:
        return self._ask(lambda n: n.nvmlSystemGetProcessName(pid)) or ""


def _text(value: Any) -> str:
    return UNKNOWN if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _on_off(value: int | None) -> str:
    return UNKNOWN if value is None else "on" if value else "off"
