"""The table of a study: a row a context, what is missing and why among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from dsabench.bench.records import LossPoint, Measured, PipelinePoint, SideRecord
from dsabench.bench.scaling.bill import Bill, Price, bills
from dsabench.bench.scaling.lengths import format_length
from dsabench.bench.scaling.points import crossover_of, over_eager
from dsabench.bench.scaling.rows import flat_loss_rows, flat_pipeline_rows, pipeline_rows
from dsabench.reports.dense.study import Study, gaps
from dsabench.reports.quantities import Span, format_config
from dsabench.reports.spreadsheet import formula_safe


@dataclass(frozen=True)
class Stage:
    """One step of the sparse side, as timed inside the whole."""

    name: str
    impl: str
    config: str
    time: Span


@dataclass(frozen=True)
class Check:
    """rows: how many of how many were held against the reference; worst: errors by measure."""

    side: str
    rows: str
    worst: dict[str, float]


@dataclass(frozen=True)
class Row:
    """One context. Spans are of seconds, of a ratio, or of dollars per million tokens; None where there is nothing. missing: sides
    and the reason, e.g. ("dense, eager", "does not fit")."""

    context: int
    label: str
    dense: Span | None
    sparse: Span | None
    eager: Span | None
    speedup: Span | None
    tie: bool
    dense_over_eager: Span | None
    stages: dict[str, Stage]
    usd: dict[str, Span]
    prompt_usd: dict[str, float]
    """mean over a prompt that ends here, by side; prefill only"""
    assumed: float | None
    """the share of it that rests on lengths below the shortest measured"""
    checks: tuple[Check, ...]
    missing: tuple[tuple[str, str], ...]


def rows_of(study: Study) -> list[Row]:
    """Of every context that was measured or asked for, ascending."""
    billed = bills(study.points, study.price)
    points = {point.context: point for point in study.points}
    missing = gaps(study)
    crossing = crossover_of(study.points, study.seed)
    ties = {context for context, winner in crossing.winners.items() if winner == "tie"} if crossing else set()
    rows = []
    for context in study.contexts:
        words = tuple((", ".join(sides), reason) for reason, sides in missing.get(context, {}).items())
        bill = {side: each[context] for side, each in billed.items() if context in each}
        rows.append(_row(study, context, points.get(context), bill, context in ties, words))
    return rows


def _row(
    study: Study,
    context: int,
    point: PipelinePoint | None,
    bill: dict[str, Bill],
    tie: bool,
    missing: tuple[tuple[str, str], ...],
) -> Row:
    found = {"sparse": point.sparse, "dense": point.dense, "eager": point.eager} if point else {}
    sides = {name: side for name, side in found.items() if side is not None}
    times = {name: measured_span(side.time) for name, side in sides.items()}
    speedup = point.speedup if point else None
    eager = over_eager(point, study.seed) if point else None
    return Row(
        context=context,
        label=format_length(context),
        dense=times.get("dense"),
        sparse=times.get("sparse"),
        eager=times.get("eager"),
        speedup=Span(speedup.ratio, speedup.low, speedup.high) if speedup else None,
        tie=tie,
        dense_over_eager=Span(eager.ratio, eager.low, eager.high) if eager else None,
        stages={stage.name: stage for stage in _stages(sides.get("sparse"))},
        usd={name: usd_span(study.price, point, sides[name]) for name in bill} if point else {},
        prompt_usd={name: each.prompt_usd for name, each in bill.items() if each.prompt_usd is not None},
        assumed=next((each.assumed for each in bill.values() if each.assumed is not None), None),
        checks=tuple(
            Check(name, f"{side.check.rows_checked} of {side.check.rows_total}", side.check.worst)
            for name, side in sides.items()
        ),
        missing=missing,
    )


def _stages(sparse: SideRecord | None) -> list[Stage]:
    return [
        Stage(stage.name, stage.impl, format_config(stage.config), measured_span(stage.time))
        for stage in (sparse.stages if sparse else [])
    ]


def measured_span(time: Measured) -> Span:
    return Span(time.median_s, time.low_s, time.high_s)


def usd_span(price: Price, point: PipelinePoint, side: SideRecord) -> Span:
    """Dollars per million tokens at the point's position: its bill, with the interval of the time that it rests on."""
    time = side.time
    low, middle, high = (
        price.per_million(seconds / point.queries) for seconds in (time.low_s, time.median_s, time.high_s)
    )
    return Span(middle, low, high)


def study_csv(study: Study) -> str:
    """As rows.csv beside the journal."""
    return _csv(flat_pipeline_rows(pipeline_rows(study.points, study.price, study.seed)))


def losses_csv(losses: Sequence[LossPoint]) -> str:
    """As losses.csv beside the journal."""
    return _csv(flat_loss_rows(losses))


def _csv(rows: list[dict[str, object]]) -> str:
    # Names of stages stand among the columns' and are a journal's as well.
    safe = [{str(formula_safe(name)): formula_safe(cell) for name, cell in row.items()} for row in rows]
    return str(pd.DataFrame(safe).to_csv(index=False))
