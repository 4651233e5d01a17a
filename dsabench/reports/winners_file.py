"""The table of winners to take away, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from dsabench.bench.languages import language_of
from dsabench.reports.quantities import Span, format_config
from dsabench.reports.sections import Section, context_of
from dsabench.reports.spreadsheet import formula_safe
from dsabench.reports.winners import WinnerRow

_COLUMNS = (
    *("device", "op", "context", "axes", "impl", "language", "state", "config", "default_config"),
    *("median_s", "low_s", "high_s", "default_s"),
    *("over_default", "over_default_low", "over_default_high"),
    *("over_torch", "over_torch_low", "over_torch_high"),
    *("roofline_fraction", "roofline_limit", "ties", "note"),
)


def _span(value: Span | None) -> list[float | None]:
    return [value.value, value.low, value.high] if value else [None, None, None]


def _values(section: Section, row: WinnerRow) -> dict[str, Any]:
    cells = [
        section.device.name,
        row.op,
        context_of(row.workload) if row.workload else None,
        row.workload.axes if row.workload else None,
        row.impl,
        language_of(row.impl),
        row.state,
        row.config if row.time else None,
        row.default_config,
        *_span(row.time),
        row.default_time.value if row.default_time else None,
        *_span(row.over_default),
        *_span(row.over_torch),
        row.fraction,
        row.limit,
        row.ties,
        row.note,
    ]
    return dict(zip(_COLUMNS, cells, strict=True))


def _flat(value: Any) -> object:
    """One cell of a spreadsheet."""
    if isinstance(value, tuple):
        return "; ".join(format_config(tie) for tie in value)
    return json.dumps(value) if isinstance(value, dict) else value


def winners_csv(section: Section, rows: dict[str, list[WinnerRow]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in (row for group in rows.values() for row in group):
        writer.writerow([formula_safe(_flat(cell)) for cell in _values(section, row).values()])
    return buffer.getvalue()


def winners_json(section: Section, rows: dict[str, list[WinnerRow]]) -> str:
    """A list of objects with the CSV's columns; axes and configs are objects, ties a list of configs."""
    return json.dumps([_values(section, row) for group in rows.values() for row in group], indent=1)
