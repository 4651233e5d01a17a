"""What the page says of a device's tuning beyond its winners: what tuning gave in time, effects of parameters, maps, the best
configs, margins, distributions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

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
        finales_left_out=Counter() if depth.finals else _compared(section),
        samples=sample_figures(section) if depth.finals else [],
    )


def lessened(analysis: Analysis, section: Section, depth: Depth) -> Analysis:
    """What `analyse` gives of that lesser depth, without doing it again."""
    shown, left_out = analysis.studies[: depth.impls], analysis.studies[depth.impls :]
    kept = {(study.op, study.impl) for study in shown}
    met: Counter[tuple[str, str]] = Counter()
    tops = []
    for top in analysis.tops:
        met[top.op, top.impl] += 1
        if met[top.op, top.impl] <= depth.contexts:
            tops.append(top)
    return replace(
        analysis,
        studies=shown,
        studies_left_out=analysis.studies_left_out + Counter(study.op for study in left_out),
        heat=[replace(s, maps=s.maps[: depth.contexts]) for s in analysis.heat if (s.op, s.impl) in kept],
        tops=tops,
        finales=analysis.finales if depth.finals else [],
        finales_left_out=Counter() if depth.finals else _compared(section),
        samples=analysis.samples if depth.finals else [],
    )


def _compared(section: Section) -> Counter[str]:
    """Comparisons by op."""
    return Counter(comparison.workload.op for comparison in section.comparisons.values())
