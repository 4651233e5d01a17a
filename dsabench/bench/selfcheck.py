"""Checks of the measuring itself, on the device at hand: is a known duration timed right, is cold really cold, does the data's
kind show in a product's time, does a call agree with itself?"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from dsabench.bench.effort import TimingPolicy
from dsabench.bench.intervals import RatioInterval, paired_ratio
from dsabench.bench.records import Record
from dsabench.bench.timing import Call, Clock, Rotation, calls_for, no_garbage_collection, time_calls

SPINS_S = (0.2e-3, 1e-3, 10e-3)
SPIN_TOLERANCE = 0.01
COLD_AT_LEAST = 1.05
"""Ratio of a read's times. Two threads of an EPYC with 32 MiB of last-level cache read 8 MiB 2.7 to 3 times as slowly from memory;
below 1.05 flushing changes nothing worth naming."""
SAME_WITHIN = 0.01
"""Of a product's time: closer than this, two kinds of data count as equal."""
NOISE_AT_MOST = 0.05
"""A call that differs from itself by more cannot tell configs apart that lie as close as those of a search do."""

_SPIN_POLICY = TimingPolicy(
    sample_s=2e-3,  # ten of the shortest: what an event or the start of a stretch costs weighs a tenth
    warmup_s=0.02,
    least_samples=30,
    most_samples=400,
    target=0.001,  # a tenth of what the check tolerates
    time_s=0.6,
    patience_s=3.0,
)
_BUFFER_SHARE = 4
"""The buffer read is a quarter of the cache: each half of Hopper's L2 may hold a copy of it, and a CPU's neighbours want room."""
_ROTATED_CACHES = 3
_COLD_ROUNDS = 31
_POWER_ROUNDS = 8
_POWER_STRETCH_S = 0.1  # before it as much again unmeasured: a GPU's power control takes tens of milliseconds to settle
_SAME_ROUNDS = 31
_SAME_SAMPLE_S = 5e-3
_MOST_CALLS = 100_000

Verdict = Literal["ok", "off", "cannot tell"]


class SelfCheck(Record):
    """One check. measured with its interval low … high (95 %), in `unit`: seconds, or a ratio of times."""

    name: str
    expected: str
    measured: float
    low: float
    high: float
    unit: Literal["s", "ratio"]
    verdict: Verdict
    text: str


@dataclass(frozen=True)
class MeasuringParts:
    """What a device's times are made with, and work to try it on.

    device       as a reader knows it
    clock        what times
    flush        pushes everything out of the cache
    cache_bytes  of the last-level cache
    spin         spin(seconds): one call that lasts so long (on a GPU: queues it)
    make_read    make_read(size, copies) -> call(i): reads buffer i of `copies`, `size` bytes each, whole
    make_product make_product(zeros) -> call(i): one product large enough to fill the device, of zeros or of random data
    product      what that product is, in words
    """

    device: str
    clock: Clock
    flush: Callable[[], None]
    cache_bytes: int
    spin: Callable[[float], None]
    make_read: Callable[[int, int], Call]
    make_product: Callable[[bool], Call]
    product: str


def run_selfcheck(parts: MeasuringParts) -> list[SelfCheck]:
    """All checks, ten seconds or so."""
    checks = [_spin(parts, seconds) for seconds in SPINS_S]
    with no_garbage_collection():
        checks += [_flush(parts), _rotation(parts), _power(parts), _same(parts)]
    return checks


def spins_right(checks: list[SelfCheck]) -> bool:
    """Whether no spin's time is off: without that no other time means anything."""
    return not any(check.verdict == "off" and check.unit == "s" for check in checks)


def _spin(parts: MeasuringParts, seconds: float) -> SelfCheck:
    timing = time_calls(lambda copy: parts.spin(seconds), Rotation(1), _SPIN_POLICY, parts.clock, None, 0)
    median, low, high = timing.median_s, timing.low_s, timing.high_s
    least, most = seconds * (1 - SPIN_TOLERANCE), seconds * (1 + SPIN_TOLERANCE)
    verdict: Verdict
    if least <= median <= most:
        verdict, remark = "ok", ""
    elif high < least or low > most:
        verdict, remark = "off", f"; over {SPIN_TOLERANCE:.0%} off: no time measured here can be trusted"
    else:
        verdict, remark = "cannot tell", "; the samples scatter too much: is the device busy?"
    return SelfCheck(
        name=f"spin {seconds * 1e3:g} ms",
        expected=f"{seconds * 1e3:g} ms ± {SPIN_TOLERANCE:.0%}",
        measured=median,
        low=low,
        high=high,
        unit="s",
        verdict=verdict,
        text=f"timed as {median * 1e3:.5g} ms ({median / seconds - 1:+.2%}), interval {low * 1e3:.5g} … {high * 1e3:.5g} ms, "
        f"{timing.n} samples{remark}",
    )


def _flush(parts: MeasuringParts) -> SelfCheck:
    size = parts.cache_bytes // _BUFFER_SHARE
    read = parts.make_read(size, 1)

    def warm() -> float:
        parts.clock.measure(read, [0])
        return parts.clock.measure(read, [0])

    def cold() -> float:
        parts.clock.measure(read, [0])
        parts.flush()
        return parts.clock.measure(read, [0])

    return _cold_check(
        "flush", f"a read of {size / 2**20:.3g} MiB after a flush", _interleaved(warm, cold, _COLD_ROUNDS)
    )


def _rotation(parts: MeasuringParts) -> SelfCheck:
    size = parts.cache_bytes // _BUFFER_SHARE
    copies = _ROTATED_CACHES * _BUFFER_SHARE
    read = parts.make_read(size, copies + 1)  # and one for the warm reads, so that they warm none of the rotation's

    def warm() -> float:
        parts.clock.measure(read, [copies])
        return parts.clock.measure(read, [copies] * copies) / copies

    def cold() -> float:
        return parts.clock.measure(read, list(range(copies))) / copies

    what = f"reads of {copies} copies of {size / 2**20:.3g} MiB in turn"
    return _cold_check("rotation", what, _interleaved(warm, cold, _COLD_ROUNDS))


def _cold_check(name: str, what: str, ratio: RatioInterval) -> SelfCheck:
    verdict: Verdict
    if ratio.low >= COLD_AT_LEAST:
        verdict, text = "ok", f"{what}: {_times(ratio)} the time of warm reads"
    elif ratio.high < COLD_AT_LEAST:
        verdict = "off"
        text = (
            f"{what}: no difference from warm reads ({_times(ratio)}): what is called cold is not, or this cache is no faster "
            "than the memory behind it"
        )
    else:
        verdict, text = "cannot tell", f"{what}: {_times(ratio)} the time of warm reads"
    return _ratio_check(name, f"ratio of at least {COLD_AT_LEAST:g}", ratio, verdict, text)


def _power(parts: MeasuringParts) -> SelfCheck:
    def sampler(zeros: bool) -> Callable[[], float]:
        product = parts.make_product(zeros)
        calls = _calls(parts.clock, product, _POWER_STRETCH_S)

        def sample() -> float:
            parts.clock.measure(product, [0] * calls)
            return parts.clock.measure(product, [0] * calls) / calls

        return sample

    ratio = _interleaved(sampler(True), sampler(False), _POWER_ROUNDS)
    verdict: Verdict = "ok"
    if ratio.low > 1 + SAME_WITHIN:
        text = f"{parts.product} shows the power effect: random data take {_times(ratio)} the time of zeros; time random data"
    elif ratio.high < 1 - SAME_WITHIN:
        verdict = "off"
        text = (
            f"{parts.product}: random data take {_times(ratio)} the time of zeros, less, which no effect known explains"
        )
    elif ratio.low >= 1 - SAME_WITHIN and ratio.high <= 1 + SAME_WITHIN:
        text = f"{parts.product} does not show the power effect: random data take {_times(ratio)} the time of zeros"
    else:
        verdict = "cannot tell"
        text = f"{parts.product}: random data take {_times(ratio)} the time of zeros"
    return _ratio_check("random against zeros", "ratio of 1 or more", ratio, verdict, text)


def _same(parts: MeasuringParts) -> SelfCheck:
    product = parts.make_product(False)
    calls = _calls(parts.clock, product, _SAME_SAMPLE_S)

    def sample() -> float:
        return parts.clock.measure(product, [0] * calls) / calls

    ratio = _interleaved(sample, sample, _SAME_ROUNDS)
    noise = max(ratio.high - 1.0, 1.0 - ratio.low)
    verdict: Verdict
    if noise <= NOISE_AT_MOST:
        verdict, remark = "ok", ""
    elif ratio.low <= 1.0 <= ratio.high:
        verdict, remark = "cannot tell", "; is the device busy?"
    else:
        verdict, remark = "off", "; what runs second is not timed as what runs first"
    text = f"{parts.product} against itself, interleaved: {_times(ratio)}; noise floor {noise:.2%}{remark}"
    return _ratio_check("same against same", f"ratio of 1 ± {NOISE_AT_MOST:.0%}", ratio, verdict, text)


def _calls(clock: Clock, call: Call, sample_s: float) -> int:
    """How many calls last `sample_s`; the first call compiles and allocates and is not looked at."""
    clock.measure(call, [0])
    return calls_for(sample_s, clock.measure(call, [0]), _MOST_CALLS)


def _interleaved(base: Callable[[], float], other: Callable[[], float], rounds: int) -> RatioInterval:
    """Ratio other / base of seconds a call, over rounds in random order after one that is thrown away."""
    base(), other()
    order = random.Random(0)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for which in order.sample((0, 1), 2):
            seconds[which].append((base, other)[which]())
    return paired_ratio(seconds[1], seconds[0], seed=0)


def _times(ratio: RatioInterval) -> str:
    return f"{ratio.ratio:.3f}× ({ratio.low:.3f} … {ratio.high:.3f})"


def _ratio_check(name: str, expected: str, ratio: RatioInterval, verdict: Verdict, text: str) -> SelfCheck:
    return SelfCheck(
        name=name,
        expected=expected,
        measured=ratio.ratio,
        low=ratio.low,
        high=ratio.high,
        unit="ratio",
        verdict=verdict,
        text=text,
    )
