"""What the templates show of `compare --dense`: words, tables and figures of each study, and what selecting keys loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dsabench.bench.records import LossPoint
from dsabench.bench.scaling.bill import Price
from dsabench.bench.scaling.cost import PUBLISHED, PUBLISHED_MACHINE, PublishedCost
from dsabench.bench.scaling.growth import Growth
from dsabench.bench.scaling.lengths import format_length
from dsabench.bench.scaling.points import growths_of, prompt_growths
from dsabench.bench.scaling.words import gap_lines, summary
from dsabench.reports.dense.losses import LossGroup, loss_groups
from dsabench.reports.dense.rows import Row, losses_csv, rows_of, study_csv
from dsabench.reports.dense.study import Study, studies_of
from dsabench.reports.figures import cost, losses, memory, stages
from dsabench.reports.figures.svg import renditions
from dsabench.reports.figures.theme import PAGE
from dsabench.reports.sections import Run, Section
from dsabench.reports.spreadsheet import data_url

MEMORY_CAPTION = (
    "Caches as the kernels read them, for one sequence. Besides them a call needs buffers that are allocated once (scores, "
    "indices, outputs; filled) and at its peak something extra (outline; ? where it could not be read)."
)
PUBLISHED_CAVEAT = (
    f"Diamonds: published for {PUBLISHED_MACHINE}, a whole model as served; not comparable with the lines"
)


@dataclass(frozen=True)
class GrowthRow:
    """per: `token` or `prompt`."""

    per: str
    growth: Growth

    @property
    def lengths(self) -> str:
        return f"{format_length(self.growth.lengths[0])} to {format_length(self.growth.lengths[-1])}"


@dataclass(frozen=True)
class StudyView:
    """answer: the first sentence, empty without one; words: the others. stages: names in the order they run."""

    anchor: str
    study: Study
    answer: str
    words: list[str]
    rows: list[Row]
    stages: list[str]
    growths: list[GrowthRow]
    cost: list[Markup]
    cost_caption: str
    stage_times: list[Markup]
    stage_caption: str
    memory: list[Markup]
    csv: str

    @property
    def run(self) -> Run | None:
        return self.study.run

    @property
    def published(self) -> PublishedCost:
        return PUBLISHED[self.study.phase]


@dataclass(frozen=True)
class LossView:
    words: list[str]
    groups: list[LossGroup]
    figure: list[Markup]
    left_out: int
    csv: str


def study_views(section: Section, anchor: str) -> list[StudyView]:
    return [_view(study, f"{anchor}-dense{index + 1}") for index, study in enumerate(studies_of(section))]


def _view(study: Study, anchor: str) -> StudyView:
    rows = rows_of(study)
    cost_panel, stage_panel, memory_panel = (
        cost.cost_panel(study, rows),
        stages.stage_panel(study, rows),
        memory.memory_panel(study),
    )
    gaps = set(gap_lines(study.points))  # in the table, with those that the journal does not know of
    said = [line for line in summary(study.points, [], study.price, study.seed) if line not in gaps]
    answered = stage_panel is not None and stage_panel.crossover is not None
    return StudyView(
        anchor=anchor,
        study=study,
        answer=said[0] if answered else "",
        words=said[1:] if answered else said,
        rows=rows,
        stages=list(dict.fromkeys(name for row in rows for name in row.stages)),
        growths=_growths(study),
        cost=renditions(
            lambda narrow: cost.draw_cost(cost_panel, PAGE, narrow=narrow),
            f"{anchor}-cost",
            f"Cost of {study.name}; the table holds its numbers",
        )
        if cost_panel
        else [],
        cost_caption=cost_caption(study.price),
        stage_times=renditions(
            lambda narrow: stages.draw_stages(stage_panel, PAGE, narrow=narrow),
            f"{anchor}-stages",
            f"Stage times of {study.name}; the table holds their numbers",
        )
        if stage_panel
        else [],
        stage_caption=stage_caption(stage_panel) if stage_panel else "",
        memory=renditions(
            lambda narrow: memory.draw_memory(memory_panel, PAGE, narrow=narrow),
            f"{anchor}-memory",
            f"Memory of {study.name}",
        )
        if memory_panel
        else [],
        csv=data_url(study_csv(study)),
    )


def cost_caption(price: Price) -> str:
    return (
        f"Attention of one token at each position in all layers, from the kernels measured here ({price.words()}). Bars: interval "
        f"of the median. Both axes logarithmic. {PUBLISHED_CAVEAT}."
    )


def stage_caption(panel: stages.StagePanel) -> str:
    words = "Time of one call in one layer. Stages are timed inside the whole, in samples of their own; ticks are intervals."
    if panel.crossover is None:
        words += " No context has both sides: there is nothing to compare."
    elif panel.crossover.crossings:
        words += " Dashed, with its interval as a band: the length from which the winner changes."
    else:
        words += f" The winner does not change: {panel.crossover.words(panel.phase)}."
    return words + (" Bars of dense that do not fit are cut; their number stands above." if panel.cut else "")


def loss_caption(groups: Sequence[LossGroup]) -> str:
    words = (
        "Against true dense attention in float64: the share of its weight on the selected keys (mean over heads), the share of the "
        "exact indexer's top-k that the FP8 indexer finds, and the relative error of the output. Lines: median over queries; band: "
        "lowest to highest."
    )
    if any(group.synthetic for group in groups):
        words += (
            " Synthetic inputs have a structure that was put into them, and an indexer made to match: they show how recall, "
            "weight and error hang together, and say nothing of a trained model."
        )
    return words


def _growths(study: Study) -> list[GrowthRow]:
    found = [GrowthRow("token", each) for each in growths_of(study.points, study.seed)]
    if study.phase == "prefill":
        found += [GrowthRow("prompt", each) for each in prompt_growths(study.points, study.seed)]
    return [row for row in found if row.growth.local is not None]


def loss_view(measured: Sequence[LossPoint], anchor: str) -> LossView | None:
    """None where nothing was measured."""
    groups = loss_groups(measured)
    if not groups:
        return None
    return LossView(
        words=summary([], measured, Price(), 0),
        groups=groups,
        figure=renditions(
            lambda narrow: losses.draw_losses(groups, PAGE, narrow=narrow),
            f"{anchor}-losses",
            "What selecting keys loses, against k; the table holds its numbers",
        ),
        left_out=max(0, len(groups) - losses.MOST_GROUPS),
        csv=data_url(losses_csv(measured)),
    )
