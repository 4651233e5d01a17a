"""How well predictions order what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import spearmanr

from dsabench.autotune.predict.order import order_by_prediction

TOPS = (1, 3, 10)


@dataclass(frozen=True)
class Ranking:
    """configs: compared. correlation: Spearman's, of predicted and measured seconds; None when either are all equal. regret: by n, the
    fastest measured time among the n configs predicted fastest, over the fastest of all, − 1; configs predicted to be equal count
    as they would be tried, in the order given."""

    configs: int
    correlation: float | None
    regret: dict[int, float]


def rank(predicted_s: Sequence[float], measured_s: Sequence[float]) -> Ranking:
    """Raises ValueError when the two differ in length or are empty."""
    if len(predicted_s) != len(measured_s) or not measured_s:
        raise ValueError(f"{len(predicted_s)} predictions of {len(measured_s)} measurements")
    tried = order_by_prediction(measured_s, predicted_s)
    best = min(measured_s)
    vary = len(set(predicted_s)) > 1 and len(set(measured_s)) > 1
    return Ranking(
        configs=len(measured_s),
        correlation=float(spearmanr(predicted_s, measured_s).statistic) if vary else None,
        regret={n: min(tried[:n]) / best - 1 for n in TOPS},
    )
