"""What the page says of a device's tuning beyond its winners: what tuning gave in time, effects of parameters, maps, the best
configs, margins, distributions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from dsabench.reports.figures.movers import draw_movers
from dsabench.reports.figures.svg import renditions
from dsabench.reports.figures.theme import PAGE
from dsabench.reports.finalists import Finale, finales
from dsabench.reports.gains import Gain, gain_movers, gains
from dsabench.reports.heatmaps import HeatSeries, heat_series
from dsabench.reports.parameters import ParameterStudy, parameter_studies
from dsabench.reports.samples import SampleFigure, sample_figures
from dsabench.reports.sections import Section
from dsabench.reports.top_configs import TopList, top_lists
from dsabench.reports.tried import tried_by_impl
from dsabench.reports.winners import WinnerRow


@dataclass(frozen=True)
class Depth:
    """impls: implementations of an op whose parameters are shown, over all ops; contexts: of how many workloads of each; finals:
    whether comparisons are shown in full, with their distributions."""

    impls: int
    contexts: int
    finals: bool


@dataclass(frozen=True)
class Analysis:
    """Lists over all ops; each item names its `op`. left_out: by op, what `Depth` cuts off."""

    gains: list[Gain]
    gains_figure: list[Markup]
    studies: list[ParameterStudy]
    studies_left_out: Counter[str]
    heat: list[HeatSeries]
    tops: list[TopList]
    finales: list[Finale]
    finales_left_out: Counter[str]
    samples: list[SampleFigure]


def analyse(section: Section, rows: dict[str, list[WinnerRow]], anchor: str, depth: Depth) -> Analysis:
    gained = gains(section, (row for group in rows.values() for row in group))
    movers = gain_movers(gained)
    by_impl = list(tried_by_impl(section).values())
    studies = parameter_studies(by_impl)
    shown, left_out = studies[: depth.impls], studies[depth.impls :]
    compared = Counter(comparison.workload.op for comparison in section.comparisons.values())
    return Analysis(
        gains=gained,
        gains_figure=renditions(
            lambda narrow: draw_movers(movers, PAGE, narrow=narrow),
            f"{anchor}-movers",
            "Change of time from default to tuned; the table holds its numbers",
        )
        if movers
        else [],
        studies=shown,
        studies_left_out=Counter(study.op for study in left_out),
        heat=heat_series(by_impl, shown, depth.contexts),
        tops=top_lists(section, depth.contexts),
        finales=finales(section) if depth.finals else [],
        finales_left_out=Counter() if depth.finals else compared,
        samples=sample_figures(section) if depth.finals else [],
    )
