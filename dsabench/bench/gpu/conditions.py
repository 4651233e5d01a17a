"""The GPU's state over the samples of one timing."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable

from dsabench.bench.gpu.nvml import Reading, Sensor
from dsabench.bench.records import Conditions, Spread

LEAST_INTERVAL_S = 0.01
"""The driver renews its figures no faster than that; a sample lasts a millisecond or less."""


class Observer:
    """Notes the GPU's state while it works: call `sample` once for every timing sample, between its launch and the wait for it.

    sensor: None where there is none; then there are no conditions. clock: in seconds.
    """

    def __init__(
        self,
        sensor: Sensor | None,
        least_interval_s: float = LEAST_INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sensor = sensor
        self._least_interval_s = least_interval_s
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Forgets everything; the next sample reads."""
        self._readings: list[Reading] = []
        self._throttled: Counter[str] = Counter()
        self._read_at = -float("inf")

    def sample(self) -> None:
        """Reads the sensor, or takes its last reading to hold for this sample too when that is not `least_interval_s` old."""
        if self._sensor is None:
            return
        if self._clock() - self._read_at >= self._least_interval_s:
            self._readings.append(self._sensor.read())
            self._read_at = self._clock()
        self._throttled.update(self._readings[-1].reasons)

    def conditions(self, sustained: bool) -> Conditions | None:
        """Of all samples since the last reset; None without a sensor or a sample."""
        if not self._readings:
            return None
        return Conditions(
            readings=len(self._readings),
            sm_mhz=_spread(r.sm_mhz for r in self._readings),
            memory_mhz=_spread(r.memory_mhz for r in self._readings),
            power_w=_spread(r.power_w for r in self._readings),
            temperature_c=_spread(r.temperature_c for r in self._readings),
            throttled=dict(self._throttled),
            regime="sustained" if sustained else "burst",
        )


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [float(v) for v in values if v is not None]
    return Spread(low=min(known), median=statistics.median(known), high=max(known)) if known else None
