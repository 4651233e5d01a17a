"""What the conditions of a timing say, from a sensor and a clock that the test moves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from dsabench.bench.gpu.conditions import Observer
from dsabench.bench.gpu.nvml import Reading, Sensor
from dsabench.bench.records import Spread
from tests.bench.gpu.fake_nvml import FakeNvml


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


class Script:
    """A sensor that reads what the test put down, in turn."""

    def __init__(self, *readings: Reading) -> None:
        self.left = list(readings)

    def read(self) -> Reading:
        return self.left.pop(0)


COOL = Reading(1980, 2619, 300.0, 40, ())
HOT = Reading(1500, 2619, 700.0, 80, ("sw_power_cap", "sw_thermal_slowdown"))


def observe(script: Script, clock: Clock, samples: int, step_s: float) -> Observer:
    observer = Observer(script, clock=clock)  # type: ignore[arg-type]
    for _ in range(samples):
        observer.sample()
        clock.now += step_s
    return observer


def test_the_sensor_is_read_every_ten_milliseconds_and_holds_for_the_samples_between() -> None:
    clock = Clock()
    # Read at 0, 12 and 24 ms: four samples each, the last of a cool GPU and the two before of a hot one.
    observer = observe(Script(HOT, HOT, COOL), clock, samples=12, step_s=0.003)
    conditions = observer.conditions(sustained=True)
    assert conditions is not None
    assert conditions.readings == 3
    assert conditions.throttled == {"sw_power_cap": 8, "sw_thermal_slowdown": 8}
    assert conditions.sm_mhz == Spread(low=1500, median=1500, high=1980)
    assert conditions.power_w == Spread(low=300, median=700, high=700)
    assert conditions.temperature_c == Spread(low=40, median=80, high=80)
    assert conditions.regime == "sustained"


def test_a_slow_sensor_does_not_shorten_its_interval() -> None:
    clock = Clock()

    class Slow(Script):
        def read(self) -> Reading:
            clock.now += 0.008
            return super().read()

    assert observe(Slow(COOL, COOL), clock, samples=4, step_s=0.003).conditions(False).readings == 1  # type: ignore[union-attr]


def test_a_reset_forgets_and_reads_again() -> None:
    clock = Clock()
    observer = observe(Script(HOT, COOL), clock, samples=2, step_s=0.001)
    observer.reset()
    assert observer.conditions(sustained=False) is None
    observer.sample()
    conditions = observer.conditions(sustained=False)
    assert conditions is not None
    assert (conditions.readings, conditions.throttled, conditions.regime) == (1, {}, "burst")


def test_what_the_driver_does_not_tell_has_no_spread_and_gaps_are_left_out() -> None:
    readings = [replace(COOL, power_w=None, temperature_c=None), replace(COOL, power_w=None), COOL]
    observer = observe(Script(*readings), Clock(), samples=3, step_s=1.0)
    conditions = observer.conditions(sustained=False)
    assert conditions is not None
    assert conditions.power_w == Spread(low=300, median=300, high=300)
    assert conditions.temperature_c == Spread(low=40, median=40, high=40)
    blind = observe(Script(Reading(None, None, None, None, ())), Clock(), samples=1, step_s=1.0).conditions(False)
    assert blind is not None
    assert (blind.sm_mhz, blind.memory_mhz, blind.power_w, blind.temperature_c) == (None,) * 4


def test_without_a_sensor_or_a_sample_there_are_no_conditions(sensor: Sensor) -> None:
    blind = Observer(None)
    blind.sample()
    assert blind.conditions(sustained=True) is None
    assert Observer(sensor).conditions(sustained=True) is None


def test_they_go_through_the_journals_strict_records(nvml: FakeNvml, sensor: Sensor) -> None:
    nvml.bits = 0x4
    observer = Observer(sensor)
    observer.sample()
    conditions = observer.conditions(sustained=False)
    assert conditions is not None
    assert type(conditions).model_validate_json(conditions.model_dump_json()) == conditions
    assert conditions.sm_mhz == Spread(low=1980, median=1980, high=1980)
    assert conditions.throttled == {"sw_power_cap": 1}


@pytest.mark.parametrize("value", [0, 1])
def test_a_missing_clock_is_none_and_zero_is_zero(nvml: FakeNvml, sensor: Sensor, value: int) -> None:
    nvml.sm_mhz = value
    observer = Observer(sensor)
    observer.sample()
    conditions = observer.conditions(sustained=False)
    assert conditions is not None
    assert conditions.sm_mhz == Spread(low=value, median=value, high=value)
