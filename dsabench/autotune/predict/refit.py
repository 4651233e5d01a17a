"""The model's constants, fitted to measured times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from scipy.optimize import least_squares

from dsabench.autotune.predict.constants import BOUNDS, NAMES, SHIPPED, Constants
from dsabench.autotune.predict.machine import Machine
from dsabench.autotune.predict.model import predict
from dsabench.autotune.predict.ranking import rank
from dsabench.autotune.predict.work import LaunchWork
from dsabench.kernels.op import Cost

FEWEST_CONFIGS = 8
_PRIOR = 0.02
"""Weight of a constant's distance from where it starts, in shares of its range, beside errors of log time: what the configs do not
tell apart stays where it was instead of running to a bound."""
_CALLS = 60


@dataclass(frozen=True)
class Sample:
    """A measured config. group: names its workload and implementation; seconds: measured."""

    group: str
    works: tuple[LaunchWork, ...]
    cost: Cost
    seconds: float


@dataclass(frozen=True)
class Fit:
    """before, after: typical factor between predicted and measured time, exp of the root mean square of the log of their ratio;
    left_out: by group, the rank correlation of predictions with constants that were fitted without that group; only where there are
    two groups or more; None where it is not defined."""

    constants: Constants
    samples: int
    before: float
    after: float
    left_out: dict[str, float | None]


class TooFewError(ValueError):
    """Fewer configs than a fit makes sense of."""


def refit(samples: Sequence[Sample], machine: Machine, start: Constants = SHIPPED) -> Fit:
    """Least squares on log(time), every group with the same weight, within `constants.BOUNDS`. Raises TooFewError."""
    if len(samples) < FEWEST_CONFIGS:
        raise TooFewError(
            f"{len(samples)} configs are too few to refit constants; at least {FEWEST_CONFIGS} are needed"
        )
    constants = _fitted(samples, machine, start)
    groups = list(dict.fromkeys(sample.group for sample in samples))
    left_out = {}
    for group in groups if len(groups) > 1 else ():
        others = _fitted([s for s in samples if s.group != group], machine, start)
        of_group = [s for s in samples if s.group == group]
        left_out[group] = rank(_seconds(of_group, machine, others), [s.seconds for s in of_group]).correlation
    return Fit(
        constants=constants,
        samples=len(samples),
        before=typical_factor(samples, machine, start),
        after=typical_factor(samples, machine, constants),
        left_out=left_out,
    )


def typical_factor(samples: Sequence[Sample], machine: Machine, constants: Constants) -> float:
    """exp of the root mean square of log(predicted / measured), every group with the same weight; 1 is perfect."""
    errors = _errors(samples, machine, constants)
    return math.exp(math.sqrt(float(np.sum(errors**2))))


def _seconds(samples: Sequence[Sample], machine: Machine, constants: Constants) -> list[float]:
    return [predict(s.works, s.cost, machine, constants).seconds for s in samples]


def _errors(samples: Sequence[Sample], machine: Machine, constants: Constants) -> np.ndarray:
    """log(predicted / measured), weighted so that their squares sum to the mean over groups of the mean over configs."""
    sizes = {group: sum(s.group == group for s in samples) for group in {s.group for s in samples}}
    predicted = _seconds(samples, machine, constants)
    weights = np.array([1 / math.sqrt(len(sizes) * sizes[s.group]) for s in samples])
    return weights * np.log(np.array(predicted) / np.array([s.seconds for s in samples]))


def _fitted(samples: Sequence[Sample], machine: Machine, start: Constants) -> Constants:
    """Constants as shares of their ranges, so that nanoseconds and efficiencies weigh alike."""
    low = np.array([BOUNDS[name][0] for name in NAMES])
    span = np.array([BOUNDS[name][1] for name in NAMES]) - low
    begin = np.clip((np.array(astuple(start)) - low) / span, 0.0, 1.0)

    def constants(shares: np.ndarray) -> Constants:
        return Constants(*(float(value) for value in low + np.clip(shares, 0.0, 1.0) * span))

    def residuals(shares: np.ndarray) -> np.ndarray:
        return np.concatenate([_errors(samples, machine, constants(shares)), _PRIOR * (shares - begin)])

    found = least_squares(residuals, begin, bounds=(0.0, 1.0), diff_step=1e-3, max_nfev=_CALLS)
    return constants(found.x)
