"""Numbers as the report writes them: three significant digits, a unit the reader knows, an interval beside the value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

_TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


@dataclass(frozen=True)
class Span:
    """A value with its interval; `low` and `high` are None when no interval was measured."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def contains_one(self) -> bool:
        return self.low is not None and self.high is not None and self.low <= 1.0 <= self.high


def significant(value: float, digits: int = 3) -> str:
    """1234.5 as `1230`, 0.012345 as `0.0123`, 99.96 as `100`: no exponent, no more digits than were measured."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:.{decimals}f}"


def time_unit(seconds: float) -> tuple[float, str]:
    """The unit in which `seconds` reads as 1 … 999."""
    for size, name in _TIME_UNITS:
        if float(f"{abs(seconds):.2e}") >= size:
            return size, name
    return _TIME_UNITS[-1]


def format_time(seconds: float) -> str:
    size, name = time_unit(seconds)
    return f"{significant(seconds / size)} {name}"


def format_change(seconds: float) -> str:
    """`+12.3 µs`, `−1.20 ms`."""
    return f"{'−' if seconds < 0 else '+' if seconds > 0 else ''}{format_time(abs(seconds))}"


def format_time_interval(span: Span) -> str:
    """`2.29–2.33 ms`, in the unit of the value; empty without an interval."""
    if span.low is None or span.high is None:
        return ""
    size, name = time_unit(span.value)
    return f"{significant(span.low / size)}–{significant(span.high / size)} {name}"


def format_ratio(value: float) -> str:
    return f"{significant(value)}×"


def format_ratio_interval(span: Span) -> str:
    if span.low is None or span.high is None:
        return ""
    return f"{significant(span.low)}–{significant(span.high)}"


def rate_unit(value: float, unit: str) -> tuple[float, str]:
    """The decimal multiple of `unit` in which `value` reads as 1 … 999."""
    for size, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if float(f"{abs(value):.2e}") >= size:
            return size, prefix + unit
    return 1.0, unit


def _scaled(value: float, unit: str) -> str:
    size, name = rate_unit(value, unit)
    return f"{significant(value / size)} {name}"


def format_flop_rate(flops_per_second: float) -> str:
    return _scaled(flops_per_second, "FLOP/s")


def format_byte_rate(bytes_per_second: float) -> str:
    return _scaled(bytes_per_second, "B/s")


def format_flops(flops: int) -> str:
    return _scaled(flops, "FLOP") if flops else "–"


def format_bytes(count: int) -> str:
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= size:
            return f"{significant(count / size)} {unit}"
    return f"{count} B"


def format_percent(fraction: float) -> str:
    """0.725 as `72 %`, 0.034 as `3.4 %`."""
    percent = 100 * fraction
    return f"{percent:.0f} %" if percent >= 9.95 else f"{significant(percent, 2)} %"


def format_signed_percent(fraction: float) -> str:
    """0.0123 as `+1.2 %`, -0.4 as `−40 %`."""
    return f"{'−' if fraction < 0 else '+' if fraction > 0 else ''}{format_percent(abs(fraction))}"


def format_duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def format_config(config: Mapping[str, bool | int | str]) -> str:
    return " ".join(f"{name}={value}" for name, value in config.items()) or "(no tunables)"
