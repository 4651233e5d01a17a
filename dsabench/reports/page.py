"""The report's page: the sections' findings and figures, handed to the templates, which only arrange them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from dsabench.bench.gate.records import GateResult
from dsabench.bench.inspection_file import Inspections
from dsabench.bench.inspection_records import InspectHeader
from dsabench.bench.languages import BestOfLanguage, Timed, best_of_languages, language_of
from dsabench.bench.records import WorkloadId, WorkloadRecord
from dsabench.bench.scaling.words import dollars
from dsabench.reports import quantities, summary
from dsabench.reports.against import AgainstView, against_views
from dsabench.reports.analysis import Analysis, Depth, analyse
from dsabench.reports.analysis import lessened as lessened_analysis
from dsabench.reports.assets import assets
from dsabench.reports.commands import Commands, commands_of
from dsabench.reports.correctness import CorrectnessRow, correctness_rows
from dsabench.reports.dense.view import (
    MEMORY_CAPTION,
    LossView,
    StudyView,
    loss_caption,
    loss_view,
    study_views,
)
from dsabench.reports.failures import FailureGroup, failure_groups, shorten
from dsabench.reports.figures import latency, predicted, roofline, search, speedup
from dsabench.reports.figures.search import SearchPanel
from dsabench.reports.figures.svg import inline_svg, renditions
from dsabench.reports.figures.theme import PAGE, SERIES
from dsabench.reports.gate.words import config_change_words, workload_words
from dsabench.reports.gpu.conditions import GpuState, gpu_state
from dsabench.reports.gpu.predictions import PredictedOp
from dsabench.reports.gpu.warm import WarmRow, warm_rows
from dsabench.reports.inspection import MARKS, Grid, grids_of
from dsabench.reports.inspection_table import InspectionTable, inspection_table
from dsabench.reports.known import Known
from dsabench.reports.sections import Run, Section, context_label, context_of, other_axes
from dsabench.reports.spreadsheet import data_url
from dsabench.reports.trials import TrialTable, trial_table
from dsabench.reports.winners import (
    WinnerRow,
    changed_tunables,
    describe_ties,
)
from dsabench.reports.winners_file import winners_csv, winners_json

MOST_FAILURE_GROUPS = 150


@dataclass(frozen=True)
class Detail:
    """How much the page carries. `FULL` unless that page would be too large to send around."""

    search_panels: int
    trials: int
    analysis: Depth


FULL = Detail(search_panels=search.MOST_PANELS, trials=6000, analysis=Depth(impls=60, contexts=8, finals=True))
LEAN = Detail(search_panels=8, trials=1000, analysis=Depth(impls=14, contexts=1, finals=False))


@dataclass(frozen=True)
class Panel:
    """A small figure of a grid, with what stands above it."""

    op: str
    name: str
    detail: str
    svg: Markup


_PARTS = (("roofline", "Roofline"), ("winners", "Winners"), ("speedups", "Speed-ups"), ("movers", "Time saved"))
_OP_PARTS = (
    ("winners", "Winners"),
    ("latency", "Latency"),
    ("search", "Search"),
    ("samples", "Distributions"),
    ("heat", "Maps"),
    ("parameters", "Parameters"),
    ("finalists", "Finalists"),
    ("failures", "Failures"),
    ("correctness", "Correctness"),
    ("work", "Work"),
)


@dataclass
class SectionView:
    """Everything the template shows of one device."""

    anchor: str
    section: Section
    known: Known
    tiles: list[summary.Tile]
    notices: list[str]
    headlines: list[summary.Headline]
    timing: str
    rows: dict[str, list[WinnerRow]]
    fastest: list[WinnerRow]
    roofline: list[Markup]
    roofline_caption: str
    above_roof: list[str]
    speedup: list[Markup]
    speedup_left_out: int
    latency: list[Panel]
    latency_left_out: Counter[str]
    search: list[Panel]
    searches: list[SearchPanel]
    """what `search` shows, in its order"""
    search_left_out: Counter[str]
    analysis: Analysis
    against: list[AgainstView]
    failures: list[FailureGroup]
    failures_left_out: list[FailureGroup]
    correctness: list[CorrectnessRow]
    impls: list[str]
    csv: str
    json: str
    trial_table: TrialTable
    commands: Commands
    studies_against_dense: list[StudyView]
    losses: LossView | None
    gpu: GpuState | None
    warm: list[WarmRow]
    predicted: list[PredictedOp]
    predicted_figure: list[Markup]

    @property
    def tuned(self) -> bool:
        """Whether anything here is of trials; what else there is has sections of its own."""
        return bool(self.section.tuning_runs or self.section.trials or self.section.comparisons)

    @property
    def pages(self) -> list[tuple[str, str]]:
        """Anchors and titles of the pages, in order."""
        ops = [(self.op_anchor(op), op) for op in self.rows] if self.tuned else []
        gpu = [(f"{self.anchor}-gpu", "GPU")] if self.gpu or self.warm or self.predicted else []
        trials = [(f"{self.anchor}-trials", "Trials")] if self.trials else []
        return [(self.anchor, "Overview"), *ops, *trials, *gpu, (f"{self.anchor}-provenance", "Provenance")]

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Anchors and titles of what stands on the overview."""
        dense = [(each.anchor, f"Against dense: {each.study.phase}") for each in self.studies_against_dense]
        lost = [("losses", "Losses")] if self.losses else []
        return [
            *((each.anchor, f"Against {each.old}") for each in self.against),
            *dense,
            *((f"{self.anchor}-{name}", title) for name, title in [*lost, *(_PARTS if self.tuned else ())]),
        ]

    def op_parts(self, op: str) -> tuple[tuple[str, str], ...]:
        """Ends of anchors, and titles, of what stands on an op's page."""
        winners, *others = _OP_PARTS
        languages = (("languages", "Languages"),) if self.languages(op) else ()
        return (winners, *languages, *(others if op in self.tried else ()))

    def languages(self, op: str) -> list[tuple[WorkloadId, list[BestOfLanguage]]]:
        """The fastest of each language, by workload; without those whose comparison holds fewer than two."""
        timed: dict[str, tuple[WorkloadId, list[Timed]]] = {}
        for row in self.rows[op]:
            if row.workload and row.time and row.state == "compared":
                _, mine = timed.setdefault(row.workload.key, (row.workload, []))
                mine.append(Timed(row.impl, row.time.value, row.fraction))
        return [(workload, best) for workload, mine in timed.values() if (best := best_of_languages(mine))]

    def op_anchor(self, op: str) -> str:
        """`d1-topk_select`; a name that an anchor cannot hold, or that another op's would meet, is replaced by its place."""
        if re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", op):
            return f"{self.anchor}-{op}"
        return f"{self.anchor}-op{list(self.rows).index(op) + 1}"

    @property
    def tried(self) -> set[str]:
        """Ops with a workload: those without were announced and never reached."""
        return {workload.op for workload in self.section.workloads.values()}

    @property
    def trials(self) -> int:
        return len(self.section.trials)

    def trials_of(self, op: str) -> int:
        return int((self.section.frame["op"] == op).sum())

    def impl_class(self, name: str) -> str:
        """The CSS class that gives an implementation the colour of its lines."""
        if name == "torch":
            return "c-base"
        others = [other for other in self.impls if other != "torch"]
        return f"c-s{others.index(name) % SERIES + 1}" if name in others else "c-base"

    def shapes(self, op: str) -> list[str]:
        return list(dict.fromkeys(other_axes(row.workload) for row in self.rows[op] if row.workload))

    def record(self, workload: WorkloadId | None) -> WorkloadRecord | None:
        return self.section.records.get(workload.key) if workload else None

    def last_run(self) -> Run:
        return (self.section.tuning_runs or self.section.runs)[-1]


def view_section(known: Known, anchor: str, detail: Detail, against: Sequence[GateResult] = ()) -> SectionView:
    section, rows, fastest, rated, impls = known.section, known.rows, known.fastest, known.rated, known.impls
    groups = failure_groups(section)
    dots, lat, predictions = known.dots, known.latency, known.predictions
    chosen = search.chosen_panels(known.searches, detail.search_panels)

    def roof(narrow: bool) -> tuple[Figure, list[str]]:
        return roofline.draw_roofline(section, dots, PAGE, narrow=narrow)

    def ratios(narrow: bool) -> tuple[Figure, list[str]]:
        return speedup.draw_speedup(rated, PAGE, narrow=narrow)

    return SectionView(
        anchor=anchor,
        section=section,
        known=known,
        tiles=summary.verdict_tiles(section, groups, rows),
        notices=summary.notices(section),
        headlines=summary.headlines(rows, fastest),
        timing=summary.timing_words(section),
        rows=rows,
        fastest=fastest,
        roofline=renditions(roof, f"{anchor}-roof", "Roofline; the table of winners holds its numbers") if dots else [],
        roofline_caption=roofline.roofline_caption(dots),
        above_roof=[dot.tooltip() for dot in dots if dot.above_roof],
        speedup=renditions(ratios, f"{anchor}-speedup", "Speed-ups; the table of winners holds its numbers")
        if rated
        else [],
        speedup_left_out=max(0, len(rated) - speedup.MOST_ROWS),
        latency=[
            Panel(
                p.op, p.op, p.other, inline_svg(figure, f"{anchor}-latency{i}", f"Latency of {p.op}, {p.other}", titles)
            )
            for i, p in enumerate(lat[: latency.MOST_PANELS])
            for figure, titles in [latency.draw_latency_panel(p, PAGE, impls)]
        ],
        latency_left_out=Counter(p.op for p in lat[latency.MOST_PANELS :]),
        search=[
            Panel(
                p.workload.op,
                p.name,
                other_axes(p.workload),
                inline_svg(figure, f"{anchor}-search{i}", f"Search of {p.name}", titles),
            )
            for i, p in enumerate(known.searches)
            if p in chosen
            for figure, titles in [search.draw_search_panel(p, PAGE, impls)]
        ],
        searches=chosen,
        search_left_out=_ops(known.searches) - _ops(chosen),
        analysis=analyse(section, rows, anchor, detail.analysis),
        against=against_views(against, anchor),
        failures=groups[:MOST_FAILURE_GROUPS],
        failures_left_out=groups[MOST_FAILURE_GROUPS:],
        correctness=correctness_rows(section),
        impls=impls,
        csv=data_url(winners_csv(section, rows)),
        json=data_url(winners_json(section, rows), "application/json"),
        trial_table=trial_table(section, detail.trials),
        commands=commands_of(section),
        studies_against_dense=study_views(section, anchor),
        losses=loss_view(section.losses, anchor),
        gpu=gpu_state(section),
        warm=warm_rows(section, (row for group in rows.values() for row in group)),
        predicted=predictions,
        predicted_figure=renditions(
            lambda narrow: predicted.draw_predicted(predictions, PAGE, narrow=narrow),
            f"{anchor}-prediction",
            "Predicted against measured time; the table holds the correlations",
        )
        if predictions
        else [],
    )


def lessened(view: SectionView, detail: Detail) -> SectionView:
    """What `view_section` gives in that lesser detail, without working it out and drawing it again."""
    searches = search.chosen_panels(view.known.searches, detail.search_panels)
    kept = {panel.workload.key for panel in searches}
    drawn = zip(view.searches, view.search, strict=True)
    return replace(
        view,
        search=[panel for each, panel in drawn if each.workload.key in kept],
        searches=searches,
        search_left_out=_ops(view.known.searches) - _ops(searches),
        analysis=lessened_analysis(view.analysis, view.section, detail.analysis),
        trial_table=trial_table(view.section, detail.trials),
    )


def _ops(panels: Sequence[SearchPanel]) -> Counter[str]:
    return Counter(panel.workload.op for panel in panels)


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."


def _exponent(value: float) -> str:
    """Two digits, and no sign before 0.00."""
    return f"{round(value, 2) + 0.0:.2f}"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dsabench.reports", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "time": quantities.format_time,
        "time_interval": quantities.format_time_interval,
        "ratio": quantities.format_ratio,
        "ratio_interval": quantities.format_ratio_interval,
        "percent": quantities.format_percent,
        "signed_percent": quantities.format_signed_percent,
        "change": quantities.format_change,
        "gate_workload": workload_words,
        "gate_config_change": config_change_words,
        "flop_rate": quantities.format_flop_rate,
        "byte_rate": quantities.format_byte_rate,
        "flops": quantities.format_flops,
        "bytes": quantities.format_bytes,
        "duration": quantities.format_duration,
        "config": quantities.format_config,
        "language": language_of,
        "sig": quantities.significant,
        "short": shorten,
        "commit": summary.short_commit,
        "moment": summary.moment,
        "context": context_label,
        "context_length": context_of,
        "other_axes": other_axes,
        "changed": changed_tunables,
        "ties": describe_ties,
        "dollars": dollars,
        "exponent": _exponent,
        "sentence": _sentence,
        "loss_caption": loss_caption,
    }
    return environment


@dataclass(frozen=True)
class InspectionView:
    found: Inspections
    grids: list[Grid]
    table: InspectionTable

    @property
    def header(self) -> InspectHeader:
        return self.found.header


@dataclass(frozen=True)
class Views:
    """Everything the page shows, in one `Detail`."""

    detail: Detail
    sections: list[SectionView]
    inspections: list[InspectionView]

    def lean(self) -> Views:
        """The same in `LEAN`."""
        return Views(
            LEAN,
            [lessened(view, LEAN) for view in self.sections],
            [replace(view, table=inspection_table(view.found.configs, LEAN.trials)) for view in self.inspections],
        )


def view_all(
    sections: Sequence[Known],
    inspections: Sequence[Inspections] = (),
    against: Mapping[str, Sequence[GateResult]] = MappingProxyType({}),
) -> Views:
    """In `FULL`; `against`: by device key."""
    return Views(
        FULL,
        [
            view_section(known, f"d{index + 1}", FULL, against.get(known.section.device.key, ()))
            for index, known in enumerate(sections)
        ],
        [InspectionView(found, grids_of(found), inspection_table(found.configs, FULL.trials)) for found in inspections],
    )


def render(views: Views) -> str:
    """The whole page. Strings of the journals are escaped: by Jinja in the text, by matplotlib and `svg.py` in figures."""
    import dsabench

    return (
        _environment()
        .get_template("report.html")
        .render(
            views=views.sections,
            inspections=views.inspections,
            marks=MARKS,
            memory_caption=MEMORY_CAPTION,
            assets=assets(),
            version=dsabench.__version__,
            lean=views.detail is LEAN,
        )
    )
