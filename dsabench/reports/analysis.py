"""What the page says of a device's tuning beyond its winners: effects of parameters, maps, the best configs, margins, samples."""

from __future__ import annotations

from dataclasses import dataclass

from dsabench.reports.heatmaps import HeatSeries, heat_series
from dsabench.reports.parameters import ParameterStudy, parameter_studies
from dsabench.reports.sections import Section
from dsabench.reports.tried import tried_by_impl


@dataclass(frozen=True)
class Depth:
    """impls: implementations of an op whose parameters are shown, over all ops; contexts: of how many workloads of each."""

    impls: int
    contexts: int


@dataclass(frozen=True)
class Analysis:
    """Lists over all ops; each item names its `op`."""

    studies: list[ParameterStudy]
    studies_left_out: int
    heat: list[HeatSeries]


def analyse(section: Section, depth: Depth) -> Analysis:
    by_impl = list(tried_by_impl(section).values())
    studies = parameter_studies(by_impl)
    return Analysis(
        studies=studies[: depth.impls],
        studies_left_out=max(0, len(studies) - depth.impls),
        heat=heat_series(by_impl, studies[: depth.impls], depth.contexts),
    )
