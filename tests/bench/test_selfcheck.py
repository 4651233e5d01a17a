"""The checks of the measuring on a device that a test makes up: each verdict, and a flush that flushes nothing."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass, field

import pytest

from dsabench.bench.cpu_measuring import cpu_parts
from dsabench.bench.flush import Flush
from dsabench.bench.selfcheck import MeasuringParts, SelfCheck, run_selfcheck, spins_right

CACHE = 8 * 2**20
WARM_S, COLD_S = 1e-3, 2.5e-3
PRODUCT_S = 4e-3


@dataclass
class FakeDevice:
    """Time passes when its calls run. The cache drops what was used longest ago."""

    spin_error: float = 0.0
    flushes: bool = True
    cache_bytes: int = CACHE
    cold_s: float = COLD_S
    random_over_zeros: float = 1.0
    noise: tuple[float, ...] = (1.0,)
    """factors of successive products"""
    now: float = 0.0
    name: str = "wall"
    cached: OrderedDict = field(default_factory=OrderedDict)

    def __post_init__(self):
        self.factors = itertools.cycle(self.noise)

    def measure(self, call, copies):
        begin = self.now
        for copy in copies:
            call(copy)
        return self.now - begin

    def spin(self, seconds):
        self.now += seconds * (1 + self.spin_error)

    def flush(self):
        if self.flushes:
            self.cached.clear()

    def make_read(self, size, copies):
        buffers = [object() for _ in range(copies)]

        def call(copy):
            buffer = buffers[copy]
            self.now += WARM_S if buffer in self.cached else self.cold_s
            self.cached[buffer] = size
            self.cached.move_to_end(buffer)
            while sum(self.cached.values()) > self.cache_bytes:
                self.cached.popitem(last=False)

        return call

    def make_product(self, zeros):
        seconds = PRODUCT_S * (1.0 if zeros else self.random_over_zeros)

        def call(copy):
            self.now += seconds * next(self.factors)

        return call

    def parts(self):
        return MeasuringParts(
            device="made up",
            clock=self,
            flush=self.flush,
            cache_bytes=CACHE,
            spin=self.spin,
            make_read=self.make_read,
            make_product=self.make_product,
            product="a product",
        )


def checked(**properties) -> dict[str, SelfCheck]:
    return {check.name: check for check in run_selfcheck(FakeDevice(**properties).parts())}


def test_a_device_that_measures_well():
    found = checked()
    assert list(found) == [
        "spin 0.2 ms",
        "spin 1 ms",
        "spin 10 ms",
        "flush",
        "rotation",
        "random against zeros",
        "same against same",
    ]
    assert {check.verdict for check in found.values()} == {"ok"}
    assert found["spin 0.2 ms"].measured == pytest.approx(0.2e-3)
    assert found["flush"].measured == pytest.approx(2.5)
    assert found["rotation"].measured == pytest.approx(2.5)
    assert "2.500×" in found["flush"].text
    assert found["same against same"].measured == pytest.approx(1.0)
    assert "noise floor 0.00%" in found["same against same"].text
    assert "does not show the power effect" in found["random against zeros"].text
    assert spins_right(list(found.values()))


@pytest.mark.parametrize("error", [0.02, -0.02])
def test_a_clock_that_is_off(error):
    found = checked(spin_error=error)
    for name in ("spin 0.2 ms", "spin 1 ms", "spin 10 ms"):
        assert found[name].verdict == "off"
        assert f"{error:+.2%}" in found[name].text
    assert not spins_right(list(found.values()))


def test_half_a_percent_is_within_the_tolerance():
    assert checked(spin_error=0.005)["spin 1 ms"].verdict == "ok"


def test_spins_that_scatter_around_the_tolerance_cannot_tell():
    device = FakeDevice()
    errors = itertools.cycle([0.0, 0.05])
    parts = device.parts()
    object.__setattr__(parts, "spin", lambda seconds: setattr(device, "now", device.now + seconds * (1 + next(errors))))
    long = run_selfcheck(parts)[2]  # one call a sample
    assert long.verdict == "cannot tell"
    assert "busy" in long.text
    assert spins_right([long])


def test_a_flush_that_does_nothing_is_found_out():
    found = checked(flushes=False)
    assert found["flush"].verdict == "off"
    assert "no difference" in found["flush"].text
    assert found["rotation"].verdict == "ok"
    assert spins_right(list(found.values())), "a spin says whether times are right; this says which times they are"


def test_copies_that_all_fit_the_cache_are_found_out():
    found = checked(cache_bytes=10 * CACHE)
    assert found["rotation"].verdict == "off"
    assert "12 copies of 2 MiB" in found["rotation"].text
    assert found["flush"].verdict == "ok"


def test_a_memory_as_fast_as_the_cache_shows_no_difference():
    found = checked(cold_s=WARM_S)
    assert found["flush"].verdict == found["rotation"].verdict == "off"
    assert "no faster than the memory" in found["flush"].text


@pytest.mark.parametrize(
    ("ratio", "verdict", "said"),
    [
        (1.2, "ok", "shows the power effect"),
        (1.005, "ok", "does not show"),
        (0.9, "off", "no effect known"),
    ],
)
def test_the_power_effect(ratio, verdict, said):
    check = checked(random_over_zeros=ratio)["random against zeros"]
    assert check.measured == pytest.approx(ratio)
    assert check.verdict == verdict
    assert said in check.text


def test_products_that_scatter_cannot_tell():
    # Stretches of one call each: their times vary from round to round by more than either check tolerates.
    found = checked(noise=(30.0, 60.0, 31.0, 55.0, 47.0, 36.0, 80.0))
    assert found["random against zeros"].verdict == "cannot tell"
    assert found["same against same"].verdict == "cannot tell"
    assert "busy" in found["same against same"].text


def test_the_cpus_parts_do_what_they_say():
    parts = cpu_parts(Flush(1 << 20), 1 << 20)
    read = parts.make_read(2**16, 3)
    for copy in range(3):
        read(copy)
    with pytest.raises(IndexError):
        read(3)
    assert parts.clock.measure(parts.make_product(True), [0]) > 0
    parts.flush()
