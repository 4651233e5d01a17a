"""What predictions were worth: predicted against measured seconds of the trials that passed."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

import numpy as np
import pandas as pd

from dsabench.bench.records import Status
from dsabench.reports.sections import Section, config_key

LEAST_CONFIGS = 3
"""Two configs are in order or not; a correlation of them says no more."""


@dataclass(frozen=True)
class PredictedOp:
    """One implementation of one op. points: (predicted, measured) seconds of each config on each workload, of its trial of most
    effort. correlations: Spearman's within each workload that has three configs or more which differ; across workloads it would
    only say that larger ones take longer."""

    op: str
    impl: str
    points: list[tuple[float, float]]
    workloads: int
    correlations: list[float]

    @property
    def name(self) -> str:
        return f"{self.op}, {self.impl}"

    @property
    def correlation(self) -> float | None:
        """The median over workloads."""
        return median(self.correlations) if self.correlations else None

    @property
    def measured_over_predicted(self) -> float:
        return median(measured / predicted for predicted, measured in self.points)


def predicted_ops(section: Section) -> list[PredictedOp]:
    """Those of which a trial that passed was predicted."""
    best: dict[tuple[str, str, str], dict[str, tuple[int, float, float]]] = {}
    for trial in section.trials:
        if trial.status is not Status.PASSED or trial.timing is None or not trial.predicted_s:
            continue
        configs = best.setdefault((trial.op, trial.impl, trial.workload.key), {})
        # rung 0 is full effort, then 1 is the least
        effort = trial.rung if trial.rung else 1 << 30
        held = configs.get(config_key(trial.config))
        if held is None or effort >= held[0]:
            configs[config_key(trial.config)] = (effort, trial.predicted_s, trial.timing.median_s)
    groups: dict[tuple[str, str], list[list[tuple[float, float]]]] = {}
    for (op, impl, _), configs in best.items():
        groups.setdefault((op, impl), []).append([(predicted, measured) for _, predicted, measured in configs.values()])
    order = {op: index for index, op in enumerate(section.ops)}
    return [
        PredictedOp(
            op,
            impl,
            [point for points in workloads for point in points],
            len(workloads),
            [value for points in workloads if (value := rank_correlation(points)) is not None],
        )
        for (op, impl), workloads in sorted(groups.items(), key=lambda item: (order[item[0][0]], item[0][1]))
    ]


def rank_correlation(points: list[tuple[float, float]]) -> float | None:
    """Spearman's of predicted and measured; None with fewer than three points, or when either are all equal."""
    predicted, measured = zip(*points, strict=True)
    if len(points) < LEAST_CONFIGS or len(set(predicted)) == 1 or len(set(measured)) == 1:
        return None
    # Not scipy.stats: importing it takes 1 s of CPU.
    ranks = [pd.Series(values).rank().to_numpy() for values in (predicted, measured)]
    return float(np.corrcoef(*ranks)[0, 1])
