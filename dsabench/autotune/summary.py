"""What a run found, one row a workload and implementation: for the table at its end and for `--json`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from dsabench.autotune.confirm import best_trials
from dsabench.autotune.outcome import Outcome
from dsabench.autotune.plan import Plan
from dsabench.autotune.progress import format_seconds
from dsabench.autotune.resume import Finished
from dsabench.bench.languages import language_of
from dsabench.bench.records import Comparison, ConfigValues, Ratio
from dsabench.kernels.implementation import format_config
from dsabench.kernels.workload import Workload


@dataclass(frozen=True)
class Row:
    """`confirmed` rows come from an interleaved comparison; the others are single trials and carry no speed-up."""

    workload: Workload
    impl: str
    confirmed: bool
    is_best: bool
    best_is_tie: bool
    config: ConfigValues
    median_s: float
    low_s: float
    high_s: float
    roofline_fraction: float
    default_config: ConfigValues | None
    default_s: float | None
    speedup_over_default: Ratio | None
    speedup_over_torch: Ratio | None
    ties: tuple[ConfigValues, ...]
    noise: float | None


def rows(plan: Plan, outcome: Outcome) -> list[Row]:
    """By op, in the order of the plan; pairs of which nothing passed are left out. Fractions are of the roofline as it is
    known at the end."""
    finished = outcome.finished
    found: list[Row] = []
    for workload in sorted(plan.workloads, key=lambda w: list(dict.fromkeys(w.op for w in plan.workloads)).index(w.op)):
        comparison = finished.comparisons.get(workload.key)
        bound_s = outcome.workloads[workload.key].roofline.bound_s if workload.key in outcome.workloads else 0.0
        if comparison is not None:
            found += [_confirmed(workload, comparison, impl, bound_s) for impl in comparison.winners]
            continue
        unconfirmed = [
            row
            for pair in plan.of(workload)
            if (row := _unconfirmed(workload, pair.implementation.name, finished, bound_s)) is not None
        ]
        found += unconfirmed
    return found


def _confirmed(workload: Workload, comparison: Comparison, impl: str, bound_s: float) -> Row:
    won = comparison.winners[impl]
    winner = comparison.candidates[won.winner]
    default = comparison.candidates[won.default] if won.default is not None else None
    return Row(
        workload=workload,
        impl=impl,
        confirmed=True,
        is_best=impl == comparison.best_impl,
        best_is_tie=comparison.best_is_tie,
        config=winner.config,
        median_s=winner.median_s,
        low_s=winner.low_s,
        high_s=winner.high_s,
        roofline_fraction=bound_s / winner.median_s,
        default_config=default.config if default else None,
        default_s=default.median_s if default else None,
        speedup_over_default=won.speedup_over_default,
        speedup_over_torch=won.speedup_over_torch,
        ties=tuple(comparison.candidates[i].config for i in won.ties),
        noise=comparison.noise,
    )


def _unconfirmed(workload: Workload, impl: str, finished: Finished, bound_s: float) -> Row | None:
    ranked = best_trials(finished.of_pair(workload.key, impl))
    if not ranked or ranked[0].timing is None:
        return None
    best, timing = ranked[0], ranked[0].timing
    default = next((t for t in ranked if t.is_default), None)
    return Row(
        workload=workload,
        impl=impl,
        confirmed=False,
        is_best=False,
        best_is_tie=False,
        config=best.config,
        median_s=timing.median_s,
        low_s=timing.low_s,
        high_s=timing.high_s,
        roofline_fraction=bound_s / timing.median_s,
        default_config=default.config if default else None,
        default_s=default.timing.median_s if default and default.timing else None,
        speedup_over_default=None,
        speedup_over_torch=None,
        ties=(),
        noise=None,
    )


def status_counts(finished: Finished) -> dict[str, int]:
    return dict(sorted(Counter(str(trial.status) for trial in finished.trials).items()))


def _ratio_text(ratio: Ratio | None, gap: str) -> str:
    return "–" if ratio is None else f"{ratio.ratio:.2f}×{gap}[{ratio.low:.2f}, {ratio.high:.2f}]"


WIDE = 150
"""Columns from which the winners' table is one line a row and shows the configs."""


def winners_table(found: list[Row], width: int) -> Table:
    """One row a workload: its fastest implementation (every implementation where nothing was confirmed), for a terminal of
    `width` columns; in a narrow one the language stands below the implementation."""
    wide = width >= WIDE
    gap = " " if wide else "\n"
    table = Table(box=box.SIMPLE_HEAD, title="Winners", title_justify="left", pad_edge=False, padding=(0, 1))
    table.add_column("op and workload", overflow="fold")
    table.add_column("impl", no_wrap=True)
    if wide:
        table.add_column("language", no_wrap=True)
    for name in ("default → tuned", f"speed-up{gap}[95 %]", "roof", "vs torch"):
        table.add_column(name, justify="right", no_wrap=True)
    if wide:
        table.add_column("config", overflow="fold")
    for row in found:
        if row.confirmed and not row.is_best:
            continue
        ties = f" (={len(row.ties)} more)" if row.ties else ""
        before = format_seconds(row.default_s) if row.default_s is not None else "failed"
        impl = row.impl + ("≈" if row.best_is_tie else "") + ("" if row.confirmed else "?")
        language = language_of(row.impl)
        cells: list[str | Text] = [
            f"{row.workload.op} {row.workload.label()}",
            *((impl, language) if wide else (f"{impl}\n{language}",)),
            f"{before} →{gap}{format_seconds(row.median_s)}",
            _ratio_text(row.speedup_over_default, gap),
            f"{row.roofline_fraction:.0%}",
            _ratio_text(row.speedup_over_torch, gap),
        ]
        if wide:
            cells.append(Text(format_config(row.config) + ties))
        table.add_row(*cells)
    return table


TABLE_LEGEND = (
    "(=n more): n other configs tie with this one within the noise. ≈: another implementation ties. "
    "?: one trial each, not confirmed by interleaved rounds."
)


def row_document(row: Row) -> dict[str, Any]:
    """A row as `--json` prints it; times in seconds, ratios as {ratio, low, high}."""
    return {
        "op": row.workload.op,
        "axes": row.workload.axis_values,
        "distribution": row.workload.distribution,
        "seed": row.workload.seed,
        "impl": row.impl,
        "language": language_of(row.impl),
        "confirmed": row.confirmed,
        "is_best": row.is_best,
        "best_is_tie": row.best_is_tie,
        "config": row.config,
        "median_s": row.median_s,
        "low_s": row.low_s,
        "high_s": row.high_s,
        "roofline_fraction": row.roofline_fraction,
        "default_config": row.default_config,
        "default_s": row.default_s,
        "speedup_over_default": row.speedup_over_default.model_dump() if row.speedup_over_default else None,
        "speedup_over_torch": row.speedup_over_torch.model_dump() if row.speedup_over_torch else None,
        "ties": list(row.ties),
        "noise": row.noise,
    }
