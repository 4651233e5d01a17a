"""How much slower, how sure: the statistics of the tree gate.

A row is measured in passes. Each pass has three fresh processes that take turns in rounds: the baseline, the baseline again, the
candidate. What a process is dealt once (pages, alignment) stays with it, so rounds say nothing of it and passes are what counts:

    a = median over rounds of log(again / baseline)                      same code: variance 2·v, v the variance of one process
    r = median over rounds of log(candidate) − mean of both baselines    variance 1.5·v about what is looked for

v is estimated from all a (about 0) and r (about their mean), 2·passes − 1 degrees of freedom, and drawn towards the typical row's, as
if PRIOR_DF more had been seen of that: with two passes a row's own estimate is too rough to stand alone (moderated t; G. Smyth, Stat.
Appl. Genet. Mol. Biol. 3, 2004).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

PRIOR_DF = 4.0
"""Weight of the typical row; what Smyth's estimator gives for variances that differ about threefold between rows."""
NOISE_QUANTILE = 0.995
"""One-sided: the same code is slower than the noise in one case of two hundred."""
INTERVAL = 0.95
_CANDIDATE_SHARE = 1.5
"""Var(c − (b1 + b2) / 2) of three equal variances."""


@dataclass(frozen=True)
class Pass:
    """Seconds a call took in each round, all three measured in every round."""

    baseline_s: tuple[float, ...]
    again_s: tuple[float, ...]
    candidate_s: tuple[float, ...]

    @property
    def same(self) -> float:
        """a of the module's formula."""
        return float(np.median(np.log(self.again_s) - np.log(self.baseline_s)))

    @property
    def change(self) -> float:
        """r of the module's formula."""
        base = (np.log(self.baseline_s) + np.log(self.again_s)) / 2.0
        return float(np.median(np.log(self.candidate_s) - base))


@dataclass(frozen=True)
class Estimate:
    """Relative, as ratios candidate / baseline. upper: what it is below with INTERVAL, one-sided; noise: what the same code would
    stay below with NOISE_QUANTILE, less 1."""

    ratio: float
    low: float
    high: float
    upper: float
    noise: float


def squares(passes: Sequence[Pass]) -> tuple[float, float]:
    """Sum of squares in units of one process's variance, and its degrees of freedom."""
    changes = [each.change for each in passes]
    middle = statistics.fmean(changes)
    total = sum(each.same**2 for each in passes) / 2.0
    total += sum((change - middle) ** 2 for change in changes) / _CANDIDATE_SHARE
    return total, 2.0 * len(passes) - 1.0


def typical_variance(rows: Sequence[Sequence[Pass]]) -> float:
    """The median row's variance of one process; 0 without rows."""
    found = [total / df for total, df in (squares(passes) for passes in rows if passes)]
    return statistics.median(found) if found else 0.0


def estimate(passes: Sequence[Pass], typical: float) -> Estimate:
    """typical: see `typical_variance`. Raises ValueError without a pass."""
    if not passes:
        raise ValueError("no pass was measured")
    total, df = squares(passes)
    variance = (PRIOR_DF * typical + total) / (PRIOR_DF + df)
    error = math.sqrt(_CANDIDATE_SHARE * variance / len(passes))
    middle = statistics.fmean(each.change for each in passes)

    def at(quantile: float) -> float:
        return float(stats.t.ppf(quantile, PRIOR_DF + df)) * error

    both = at((1.0 + INTERVAL) / 2.0)
    return Estimate(
        ratio=math.exp(middle),
        low=math.exp(middle - both),
        high=math.exp(middle + both),
        upper=math.exp(middle + at(INTERVAL)),
        noise=math.exp(at(NOISE_QUANTILE)) - 1.0,
    )
