"""Regime, clocks, power, temperature, throttled and host-bound samples, of each implementation's trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from dsabench.bench.records import Conditions, Spread, Timing
from dsabench.reports.sections import Section


@dataclass(frozen=True)
class StateRow:
    """The timed trials of one implementation of one op. Spreads: lowest, median of the medians, highest; None where the driver does
    not tell. regimes, throttled (samples by reason) are counts; unread: trials without any reading."""

    op: str
    impl: str
    trials: int
    samples: int
    regimes: dict[str, int]
    sm_mhz: Spread | None
    memory_mhz: Spread | None
    power_w: Spread | None
    temperature_c: Spread | None
    throttled: dict[str, int]
    host_bound: int
    unread: int


@dataclass(frozen=True)
class GpuState:
    """rows: by op and implementation, the last of all trials together. throttled_trials, host_bound_trials: with at least one such
    sample."""

    rows: list[StateRow]
    throttled_trials: int
    host_bound_trials: int

    @property
    def total(self) -> StateRow:
        return self.rows[-1]

    @property
    def words(self) -> list[str]:
        """Whole sentences."""
        total = self.total
        regimes = ", ".join(f"{count} in the {regime} regime" for regime, count in total.regimes.items())
        timed = "1 timed trial" if total.trials == 1 else f"{total.trials} timed trials"
        words = [f"{timed}: {regimes}." if regimes else f"{timed}, none with a reading of the GPU's state."]
        if total.regimes and total.unread:
            words.append(f"Without a reading: {total.unread}.")
        if total.regimes:
            words.append(
                f"With samples taken while the driver held the clock down (kept, and counted below): {self.throttled_trials}."
            )
        words.append(f"With samples in which the GPU waited for the host: {self.host_bound_trials}.")
        return words


ALL = "all"


def gpu_state(section: Section) -> GpuState | None:
    """None where no trial has conditions or was bound by the host: on a CPU."""
    timed = [(trial.op, trial.impl, trial.timing) for trial in section.trials if trial.timing is not None]
    if not any(timing.conditions is not None or timing.host_bound for _, _, timing in timed):
        return None
    groups: dict[tuple[str, str], list[Timing]] = {}
    for op, impl, timing in timed:
        groups.setdefault((op, impl), []).append(timing)
    order = {op: index for index, op in enumerate(section.ops)}
    ordered = sorted(groups, key=lambda key: (order[key[0]], key[1] == "torch", key[1]))
    rows = [_row(op, impl, groups[op, impl]) for op, impl in ordered]
    every = [timing for _, _, timing in timed]
    return GpuState(
        rows=[*rows, _row(ALL, "", every)],
        throttled_trials=sum(bool(t.conditions and any(t.conditions.throttled.values())) for t in every),
        host_bound_trials=sum(bool(t.host_bound) for t in every),
    )


def _row(op: str, impl: str, timings: list[Timing]) -> StateRow:
    read: list[Conditions] = [timing.conditions for timing in timings if timing.conditions is not None]
    throttled: Counter[str] = Counter()
    for conditions in read:
        throttled.update(conditions.throttled)
    return StateRow(
        op=op,
        impl=impl,
        trials=len(timings),
        samples=sum(timing.n for timing in timings),
        regimes=dict(Counter(conditions.regime for conditions in read).most_common()),
        sm_mhz=_together(conditions.sm_mhz for conditions in read),
        memory_mhz=_together(conditions.memory_mhz for conditions in read),
        power_w=_together(conditions.power_w for conditions in read),
        temperature_c=_together(conditions.temperature_c for conditions in read),
        throttled={reason: count for reason, count in throttled.most_common() if count},
        host_bound=sum(timing.host_bound for timing in timings),
        unread=len(timings) - len(read),
    )


def _together(spreads: Iterable[Spread | None]) -> Spread | None:
    known = [spread for spread in spreads if spread is not None]
    if not known:
        return None
    return Spread(
        low=min(spread.low for spread in known),
        median=median(spread.median for spread in known),
        high=max(spread.high for spread in known),
    )
