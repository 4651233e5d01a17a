"""Reading a GPU through NVML: every figure in its unit, and None for each that a driver does not give."""

from __future__ import annotations

import sys
from dataclasses import asdict

import pytest

from dsabench.bench.gpu import nvml as nvml_module
from dsabench.bench.gpu.nvml import GpuProcess, Reading, Sensor, open_sensor, why_no_nvml
from tests.bench.gpu.fake_nvml import FakeNvml, NVMLError, process

FUNCTIONS = [name for name in vars(FakeNvml) if name.startswith(("nvmlDevice", "nvmlSystem"))]


def test_a_reading_has_the_units_it_says(nvml: FakeNvml, sensor: Sensor) -> None:
    assert sensor.read() == Reading(1980, 2619, 350.5, 41, ())


@pytest.mark.parametrize(
    ("function", "reading"),
    [
        ("nvmlDeviceGetFieldValues", Reading(1980, 2619, 200.0, 41, ("sw_power_cap",))),
        ("nvmlDeviceGetTemperatureV", Reading(1980, 2619, 350.5, 42, ("sw_power_cap",))),
        ("nvmlDeviceGetCurrentClocksEventReasons", Reading(1980, 2619, 350.5, 41, ("sw_power_cap",))),
        ("nvmlDeviceGetClockInfo", Reading(None, None, 350.5, 41, ("sw_power_cap",))),
    ],
)
@pytest.mark.parametrize("how", ["missing", "mismatched", "absent"])
def test_what_a_driver_lacks_comes_from_its_older_function_or_is_none(
    nvml: FakeNvml, sensor: Sensor, monkeypatch: pytest.MonkeyPatch, function: str, reading: Reading, how: str
) -> None:
    nvml.bits = 0x4
    if how == "absent":
        monkeypatch.delattr(FakeNvml, function)
    else:
        getattr(nvml, how).add(function)
    assert sensor.read() == reading


def test_a_power_field_that_this_gpu_does_not_have_is_not_taken_for_zero_watts(nvml: FakeNvml, sensor: Sensor) -> None:
    field = nvml.nvmlDeviceGetFieldValues("whole", [186])[0]
    field.nvmlReturn, field.value.uiVal = 3, 0
    nvml.nvmlDeviceGetFieldValues = lambda handle, fields: [field]  # type: ignore[method-assign]
    assert sensor.read().power_w == 200.0


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_single_function_is_needed(nvml: FakeNvml, sensor: Sensor, function: str) -> None:
    whole = asdict(sensor.read()), sensor.facts()
    nvml.missing.add(function)
    for now, then in zip((asdict(sensor.read()), sensor.facts()), whole, strict=True):
        assert set(now) == set(then)
    sensor.processes()
    sensor.memory_used()
    sensor.utilization()


def test_a_driver_that_tells_nothing_leaves_everything_unknown(nvml: FakeNvml, sensor: Sensor) -> None:
    nvml.missing |= set(FUNCTIONS)
    assert sensor.read() == Reading(None, None, None, None, ())
    assert set(sensor.facts().values()) == {"unknown"}
    assert (sensor.processes(), sensor.memory_used(), sensor.utilization()) == (None, None, None)


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0x1, ()),
        (0x2, ()),
        (0x1 | 0x2 | 0x4, ("sw_power_cap",)),
        (0x8 | 0x40, ("hw_slowdown", "hw_thermal_slowdown")),
        (0x10 | 0x20 | 0x80 | 0x100, ("sync_boost", "sw_thermal_slowdown", "hw_power_brake", "display_clocks")),
        (0x200 | 0x400, ("board_limit", "reliability")),
        (0x8000, ()),
    ],
)
def test_idle_and_the_users_own_clocks_are_no_throttling(
    nvml: FakeNvml, sensor: Sensor, bits: int, reasons: tuple[str, ...]
) -> None:
    nvml.bits = bits
    assert sensor.read().reasons == reasons


def test_the_bits_are_those_of_the_real_binding() -> None:
    pynvml = pytest.importorskip("pynvml")
    words = {
        "sw_power_cap": "SwPowerCap",
        "hw_slowdown": "HwSlowdown",
        "sync_boost": "SyncBoost",
        "sw_thermal_slowdown": "SwThermalSlowdown",
        "hw_thermal_slowdown": "HwThermalSlowdown",
        "hw_power_brake": "HwPowerBrakeSlowdown",
        "display_clocks": "DisplayClockSetting",
        "board_limit": "BoardLimit",
        "reliability": "Reliability",
    }
    named = {name: getattr(pynvml, f"nvmlClocksThrottleReason{word}") for name, word in words.items()}
    assert {name: bit for bit, name in nvml_module._REASONS} == named
    assert pynvml.nvmlClocksThrottleReasonUserDefinedClocks == nvml_module._USER_SETTING
    assert pynvml.nvmlMemory_v2 == nvml_module._MEMORY_V2


def test_the_fake_has_no_function_that_the_real_binding_lacks() -> None:
    pynvml = pytest.importorskip("pynvml")
    assert [name for name in FUNCTIONS if not hasattr(pynvml, name)] == []


def test_facts_are_words_and_say_whose_clocks_they_are(nvml: FakeNvml, sensor: Sensor) -> None:
    assert sensor.facts() == {
        "driver": "580.65.06",
        "power_limit_w": "650",
        "power_limit_default_w": "700",
        "max_sm_mhz": "1980",
        "max_memory_mhz": "2619",
        "clocks_limited_by_user": "no",
        "ecc": "on",
        "mig": "off",
        "persistence": "on",
    }
    nvml.bits = 0x2
    assert sensor.facts()["clocks_limited_by_user"] == "yes"


def test_processes_with_and_without_names_and_memory(nvml: FakeNvml, sensor: Sensor) -> None:
    nvml.running = [process(7, 2**30), process(8, None)]
    nvml.names = {7: "python"}
    assert sensor.processes() == [GpuProcess(7, 2**30, "python"), GpuProcess(8, None, "")]


def test_the_drivers_reserve_counts_only_where_it_cannot_be_told_apart(nvml: FakeNvml, sensor: Sensor) -> None:
    assert sensor.memory_used() == nvml.memory_used
    nvml.missing.add("memory v2")
    assert sensor.memory_used() == nvml.memory_used + nvml.reserve


@pytest.mark.parametrize("name", ["GPU-a", "a", 0, "0"])
def test_a_gpu_opens_by_uuid_as_nvml_or_torch_writes_it_and_by_index(nvml: FakeNvml, name: str | int) -> None:
    opened = open_sensor(name)
    assert opened is not None
    assert opened.read().sm_mhz == 1980


@pytest.mark.parametrize("name", ["MIG-i", "i"])
def test_a_mig_instance_has_processes_of_its_own_and_the_clocks_of_the_whole(nvml: FakeNvml, name: str) -> None:
    nvml.running = [process(7, 1)]
    opened = open_sensor(name)
    assert opened is not None
    assert opened.read().sm_mhz == 1980
    assert opened.processes() == []


@pytest.mark.parametrize("name", ["GPU-b", "b", "MIG-a", 1, ""])
def test_a_gpu_that_nvml_does_not_know_has_no_sensor(nvml: FakeNvml, name: str | int) -> None:
    assert open_sensor(name) is None
    assert why_no_nvml() == ""


def test_without_the_binding_or_the_library_it_says_so(nvml: FakeNvml, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml.init_error = NVMLError("NVML Shared Library Not Found")
    assert open_sensor(0) is None
    assert why_no_nvml() == "NVML does not start: NVML Shared Library Not Found"
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert open_sensor(0) is None
    assert "pip install nvidia-ml-py" in why_no_nvml()
