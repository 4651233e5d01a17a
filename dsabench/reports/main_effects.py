"""How much of the differences between configs each tunable explains by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsabench.reports.tried import Tried

MOST_LEVELS = 400
"""values of all tunables together: the normal equations have that many rows"""


@dataclass(frozen=True)
class MainEffects:
    """explained: share of the variance of log(time) that the fit explains (R²); unique: by tunable, the share lost when it alone is
    left out; configs: those that passed, which the fit rests on."""

    explained: float
    unique: dict[str, float]
    configs: int


def main_effects(tried: Tried) -> MainEffects | None:
    """Least squares of log(time) = mean + an effect for each value of each tunable, over the configs that passed. A tunable's share
    is what the other tunables cannot explain in its place, so that shares are comparable where the search tried no full grid; they
    need not add up to the whole. What is left is interactions and noise. None with fewer than two configs for each coefficient, or
    where all times are equal: such a fit says nothing."""
    passed = tried.passed
    log_s = np.log(tried.seconds[passed])
    log_s = log_s - log_s.mean()
    total = float(log_s @ log_s)
    # A config without the tunable counts as a value of its own.
    codes = {name: np.unique(each[passed], return_inverse=True)[1] for name, each in tried.codes.items()}
    levels = {name: int(each.max()) + 1 for name, each in codes.items() if len(each) and each.max() > 0}
    coefficients = 1 + sum(count - 1 for count in levels.values())
    if not levels or sum(levels.values()) > MOST_LEVELS or len(log_s) < 2 * coefficients or total <= 0.0:
        return None
    names = list(levels)
    ends = np.cumsum([levels[name] for name in names])
    columns = {name: np.arange(end - levels[name], end) for name, end in zip(names, ends, strict=True)}
    # Normal equations from counts: the columns of the design are indicators, which would take rows × levels numbers.
    gram = np.block([[_counts(codes[a], codes[b], levels[a], levels[b]) for b in names] for a in names])
    moment = np.concatenate([np.bincount(codes[name], weights=log_s, minlength=levels[name]) for name in names])

    def left(kept: np.ndarray) -> float:
        """Sum of squares that a fit on these columns leaves. The columns of a tunable add up to 1, so the mean needs none."""
        if not len(kept):
            return total
        solution = np.linalg.lstsq(gram[np.ix_(kept, kept)], moment[kept], rcond=1e-10)[0]
        return max(total - float(solution @ moment[kept]), 0.0)

    everything = np.arange(int(ends[-1]))
    residue = left(everything)
    unique = {name: max(left(np.setdiff1d(everything, columns[name])) - residue, 0.0) / total for name in names}
    return MainEffects(1.0 - residue / total, unique, len(log_s))


def _counts(first: np.ndarray, second: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """How often each pair of values occurs, [rows, columns]."""
    return np.bincount(first * columns + second, minlength=rows * columns).reshape(rows, columns).astype(float)
