"""Winners or trials as one flat table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from dsabench.bench.journal import Journal
from dsabench.bench.languages import language_of
from dsabench.bench.records import Comparison, Header, Trial
from dsabench.reports.export.exported import Exported, ExportError, write_file
from dsabench.reports.quantities import Span
from dsabench.reports.sections import Section, sections_of
from dsabench.reports.spreadsheet import formula_safe
from dsabench.reports.winners import WinnerRow, winner_rows

Row = dict[str, object]

AXES = ("rows", "b", "s_q", "next_n", "s_kv", "h", "h_q", "k", "topk", "page", "causal", "deterministic", "ue8m0")
"""Of all ops; each is a column `axis_<name>`, empty where an op has none."""

_WHAT = ("device", "device_key", "op", "impl", "language", *(f"axis_{name}" for name in AXES), "distribution", "seed")

WINNER_COLUMNS = (
    *_WHAT,
    *("state", "is_fastest", "config", "default_config", "is_default"),
    *("median_s", "low_s", "high_s", "default_s"),
    *("speedup_over_default", "speedup_over_default_low", "speedup_over_default_high"),
    *("speedup_over_torch", "speedup_over_torch_low", "speedup_over_torch_high"),
    *("roofline_fraction", "roofline_limit", "ties", "noise", "ran", "note"),
    *("source", "commit", "versions", "measured"),
)

TRIAL_COLUMNS = (
    *_WHAT,
    *("number", "config", "is_default", "rung", "status", "reason", "ran"),
    *("median_s", "low_s", "high_s", "min_s", "p10_s", "p90_s", "n", "calls_per_sample", "clock", "roofline_fraction"),
    *("predicted_s", "compile_s", "peak_extra_bytes", "rows_checked", "rows_total", "worst"),
    *("source", "commit", "versions", "started", "duration_s", "journal"),
)


def write_winners_csv(journals: list[Journal], path: Path) -> Exported:
    """A row for every implementation on every workload, those that failed or were never tried included. Raises ExportError."""
    rows = [
        row for section in sections_of(journals) for each in winner_rows(section).values()
        for row in (_winner(section, winner) for winner in each)
    ]  # fmt: skip
    if not rows:
        raise ExportError("nothing to export: these journals name no implementation that was tuned or compared")
    return _write(path, WINNER_COLUMNS, rows)


def write_trials_csv(journals: list[Journal], path: Path) -> Exported:
    """A row for every trial, in the order of the journals. Raises ExportError."""
    rows = [_trial(journal, trial) for journal in journals for trial in journal.trials]
    if not rows:
        raise ExportError("nothing to export: these journals hold no trial")
    return _write(path, TRIAL_COLUMNS, rows)


def _write(path: Path, columns: tuple[str, ...], rows: list[Row]) -> Exported:
    # An axis that only a journal of another version knows comes last, so that the others keep their places.
    unknown = dict.fromkeys(name for row in rows for name in row if name not in columns)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [*columns, *unknown], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: formula_safe(value) for name, value in row.items()} for row in rows)
    write_file(path, buffer.getvalue())
    return Exported([path], len(rows))


def _winner(section: Section, row: WinnerRow) -> Row:
    workload = row.workload
    comparison = section.comparisons.get(workload.key) if workload and row.state == "compared" else None
    header = _header(section, comparison, row.op, row.impl)
    return {
        "device": section.device.name,
        "device_key": section.device.key,
        "op": row.op,
        "impl": row.impl,
        "language": language_of(row.impl),
        **_axes(workload.axes if workload else {}),
        "distribution": workload.distribution if workload else None,
        "seed": workload.seed if workload else None,
        "state": row.state,
        "is_fastest": int(row.fastest),
        "config": _json(row.config) if row.time else None,
        "default_config": _json(row.default_config) if row.default_config is not None else None,
        "is_default": int(row.is_default) if row.time else None,
        **dict(zip(("median_s", "low_s", "high_s"), _three(row.time), strict=True)),
        "default_s": row.default_time.value if row.default_time else None,
        **dict(_ratio("speedup_over_default", row.over_default)),
        **dict(_ratio("speedup_over_torch", row.over_torch)),
        "roofline_fraction": row.fraction,
        "roofline_limit": row.limit,
        "ties": json.dumps([dict(tie) for tie in row.ties]) if row.time else None,
        "noise": comparison.noise if comparison else None,
        "ran": row.ran,
        "note": row.note,
        "source": header.sources.get(f"{row.op}/{row.impl}"),
        "commit": header.git_commit,
        "versions": json.dumps(header.versions),
        "measured": comparison.started if comparison else None,
    }


def _header(section: Section, comparison: Comparison | None, op: str, impl: str) -> Header:
    """Of the run that compared, else of the last that announced the implementation."""
    for journal in section.journals:
        if comparison is not None and any(comparison is each for each in journal.comparisons):
            return journal.header
    announced = [run.header for run in section.runs if f"{op}/{impl}" in run.header.sources]
    return announced[-1] if announced else section.runs[-1].header


def _trial(journal: Journal, trial: Trial) -> Row:
    device, timing, check = journal.header.device, trial.timing, trial.check
    return {
        "device": device.name,
        "device_key": device.key,
        "op": trial.op,
        "impl": trial.impl,
        "language": language_of(trial.impl),
        **_axes(trial.workload.axes),
        "distribution": trial.workload.distribution,
        "seed": trial.workload.seed,
        "number": trial.number,
        "config": _json(trial.config),
        "is_default": int(trial.is_default),
        "rung": trial.rung,
        "status": trial.status.value,
        "reason": trial.reason,
        "ran": trial.describe,
        **({name: getattr(timing, name) for name in _TIMING} if timing else {}),
        "roofline_fraction": trial.roofline_fraction,
        "predicted_s": trial.predicted_s,
        "compile_s": trial.compile_s,
        "peak_extra_bytes": trial.peak_extra_bytes,
        "rows_checked": check.rows_checked if check else None,
        "rows_total": check.rows_total if check else None,
        "worst": json.dumps(check.worst) if check else None,
        "source": trial.source,
        "commit": journal.header.git_commit,
        "versions": json.dumps(journal.header.versions),
        "started": trial.started,
        "duration_s": trial.duration_s,
        "journal": str(journal.path),
    }


_TIMING = ("median_s", "low_s", "high_s", "min_s", "p10_s", "p90_s", "n", "calls_per_sample", "clock")


def _axes(axes: Mapping[str, int]) -> Row:
    return {f"axis_{name}": value for name, value in axes.items()}


def _json(config: Mapping[str, bool | int | str]) -> str:
    return json.dumps(dict(config))


def _three(span: Span | None) -> tuple[float | None, float | None, float | None]:
    return (span.value, span.low, span.high) if span else (None, None, None)


def _ratio(name: str, span: Span | None) -> Iterator[tuple[str, float | None]]:
    yield from zip((name, f"{name}_low", f"{name}_high"), _three(span), strict=True)
