"""The table of `dsabench compare`: a line an implementation, the fastest of each workload first."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from dsabench.autotune.progress import format_seconds
from dsabench.autotune.side_by_side.rows import Row, languages
from dsabench.bench.languages import language_of
from dsabench.kernels.implementation import format_config
from dsabench.kernels.sizes import format_size

LEGEND = (
    "[95 %]: interval of the median, of the ratio by paired bootstrap over the interleaved rounds. tie: the interval contains 1, or "
    "the gap is within what two measurements of one config differed by. ?: a trial alone, not in the interleaved rounds. roof: share "
    "of the roofline. checked: rows held against the reference."
)


def implementations_table(found: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("op and workload", overflow="fold")
    table.add_column("impl", no_wrap=True)
    table.add_column("language")
    for name in ("median \\[95 %]", "to the fastest \\[95 %]", "verdict", "roof", "checked"):
        table.add_column(name, justify="right")
    table.add_column("config", overflow="fold")
    last = ""
    for row in found:
        where = f"{row.workload.op} {row.workload.label()}"
        table.add_row(
            Text("" if where == last else where), row.impl, language_of(row.impl), *(Text(cell) for cell in _cells(row))
        )
        last = where
    return table


def languages_table(found: Sequence[Row]) -> Table | None:
    """The fastest of each language, a line each; None where no workload has two."""
    of_workload = languages(found)
    if not of_workload:
        return None
    table = Table(
        box=box.SIMPLE_HEAD, title="Best of each language", title_justify="left", pad_edge=False, padding=(0, 1)
    )
    table.add_column("op and workload", overflow="fold")
    table.add_column("language", no_wrap=True)
    table.add_column("impl", no_wrap=True)
    for name in ("median", "roof", "to the best"):
        table.add_column(name, justify="right", no_wrap=True)
    for workload, best in of_workload.items():
        where = f"{workload.op} {workload.label()}"
        for each in best:
            roof = "–" if each.roofline_fraction is None else f"{each.roofline_fraction:.0%}"
            table.add_row(
                Text(where), each.language, each.impl, format_seconds(each.median_s), roof, f"{each.to_best:.2f}×"
            )
            where = ""
    return table


def _cells(row: Row) -> list[str]:
    check = row.trial.check
    median, ratio, roof = "–", "–", "–"
    if row.median_s is not None and row.low_s is not None and row.high_s is not None:
        mark = "" if row.interleaved else "?"
        median = f"{format_seconds(row.median_s)}{mark} [{format_seconds(row.low_s)}, {format_seconds(row.high_s)}]"
    if row.to_fastest is not None and row.verdict != "fastest":
        ratio = f"{row.to_fastest.ratio:.2f}× [{row.to_fastest.low:.2f}, {row.to_fastest.high:.2f}]"
    if row.roofline_fraction is not None:
        roof = f"{row.roofline_fraction:.0%}"
    passed = row.trial.status == "PASSED"
    return [
        median,
        ratio,
        (row.verdict or "–") if passed else str(row.trial.status),
        roof,
        f"{check.rows_checked} of {check.rows_total}" if check and passed else "–",
        f"{format_config(row.choice.config)} ({_origin(row)})",
    ]


def _origin(row: Row) -> str:
    """`default`, `tuned`, or `tuned at s_kv=16k`: only the axes that differ."""
    tuned_for = row.choice.tuned_for
    if tuned_for is None:
        return "default"
    axes = row.workload.axis_values
    other = [f"{name}={format_size(value)}" for name, value in tuned_for.items() if axes.get(name) != value]
    return f"tuned at {' '.join(other)}" if other else "tuned"
