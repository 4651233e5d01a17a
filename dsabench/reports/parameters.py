"""What each tunable does to the time: the best that can still be reached with it held at a value, and what it explains by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dsabench.bench.records import Status, WorkloadId
from dsabench.reports.main_effects import MainEffects, main_effects
from dsabench.reports.tried import Tried, Value

MOST_VALUES = 16
"""of one tunable: as many as a table on a page can hold"""


@dataclass(frozen=True)
class Setting:
    """One value of one tunable. `slowdown`: best time with it over the best time of all; None when nothing passed."""

    value: Value
    passed: int
    tried: int
    slowdown: float | None


@dataclass(frozen=True)
class Effect:
    tunable: str
    settings: tuple[Setting, ...]
    spread: float
    """best time with the worst value over best time with the best one"""
    explained: float | None
    """share of the variance of log(time) that no other tunable explains in its place; None without a fit"""
    left_out: int = 0
    """values beyond the best `MOST_VALUES`"""

    @property
    def best(self) -> Setting:
        return min((s for s in self.settings if s.slowdown is not None), key=lambda s: s.slowdown or 0.0)

    @property
    def bar(self) -> int:
        """Per cent of the time with the worst value that the best one saves."""
        return round(100 * (1 - 1 / self.spread))


@dataclass(frozen=True)
class ParameterStudy:
    """One implementation of one op on one workload; `effects`: those that change the best time most first."""

    op: str
    impl: str
    workload: WorkloadId
    configs: int
    passed: int
    effects: tuple[Effect, ...]
    fit: MainEffects | None


def best_by_code(codes: np.ndarray, seconds: np.ndarray, count: int) -> np.ndarray:
    """Least of the finite seconds at each code 0 … count − 1; infinite where there is none."""
    best = np.full(count, np.inf)
    usable = (codes >= 0) & np.isfinite(seconds)
    np.minimum.at(best, codes[usable], seconds[usable])
    return best


def fastest_codes(best: np.ndarray) -> np.ndarray:
    """The codes to show, in their order: the MOST_VALUES with the best times where there are more."""
    return np.sort(np.argsort(best, kind="stable")[:MOST_VALUES])


def _effect(tried: Tried, name: str, ran: np.ndarray, fit: MainEffects | None) -> Effect | None:
    codes, count = tried.codes[name], len(tried.values[name])
    best = best_by_code(codes, tried.seconds, count)
    attempts = np.bincount(codes[ran & (codes >= 0)], minlength=count)
    successes = np.bincount(codes[tried.passed & (codes >= 0)], minlength=count)
    met = np.flatnonzero(attempts)
    finite = best[np.isfinite(best)]
    if len(met) < 2 or not len(finite):
        return None
    fastest = float(np.nanmin(tried.seconds))
    shown = met[fastest_codes(best[met])]
    return Effect(
        tunable=name,
        settings=tuple(
            Setting(
                value=tried.values[name][code],
                passed=int(successes[code]),
                tried=int(attempts[code]),
                slowdown=float(best[code]) / fastest if np.isfinite(best[code]) else None,
            )
            for code in shown
        ),
        spread=float(finite.max() / finite.min()),
        explained=fit.unique.get(name) if fit else None,
        left_out=len(met) - len(shown),
    )


def study_of(tried: Tried) -> ParameterStudy | None:
    """None where no tunable was tried at two values."""
    # What a constraint excludes says nothing of a tunable's effect.
    ran = tried.status != Status.PRUNED.value
    fit = main_effects(tried)
    effects = [effect for name in tried.values if (effect := _effect(tried, name, ran, fit)) is not None]
    if not effects:
        return None
    effects.sort(key=lambda effect: (-effect.spread, -(effect.explained or 0.0)))
    return ParameterStudy(
        op=tried.op,
        impl=tried.impl,
        workload=tried.workload,
        configs=int(ran.sum()),
        passed=int(tried.passed.sum()),
        effects=tuple(effects),
        fit=fit,
    )


def parameter_studies(by_impl: Iterable[list[Tried]]) -> list[ParameterStudy]:
    """One an implementation of an op, of the first of its workloads (see `tried_by_impl`)."""
    return [study for group in by_impl if (study := study_of(group[0])) is not None]
