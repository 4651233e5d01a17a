"""A gate as GitHub workflow commands, printed to a step's output: the few worst rows, then one line for all.

GitHub keeps ten annotations of a level from a step and drops the rest, so what is left out has to be said in the last kept one.
"""

from typing import Literal

from dsabench.bench.gate.records import GateResult, GateRow, RowVerdict, Verdict
from dsabench.bench.gate.verdict import sorted_rows
from dsabench.reports.gate.words import (
    change_words,
    clipped,
    plain_line,
    ratio_words,
    times_words,
    workload_words,
    worst_changes,
)

_Level = Literal["error", "warning", "notice"]
_MESSAGE = 500
"""characters of a message, 160 of a title: an annotation is read at a glance"""
_ROLL_UP: dict[Verdict, _Level] = {
    Verdict.PASS: "notice",
    Verdict.AMBIGUOUS: "warning",
    Verdict.REGRESSED: "error",
    Verdict.INVALID: "error",
}


def annotations(result: GateResult, most: int = 10) -> list[str]:
    """At most `most` lines, the roll-up among them and last. Raises ValueError for `most` < 1."""
    if most < 1:
        raise ValueError(f"most is {most}; the roll-up alone takes 1")
    levels = [(row, level) for row in sorted_rows(result.rows) if (level := _level(row, result.verdict))]
    shown = levels[: most - 1]
    lines = [_command(level, f"{row.verdict} {row.name} {workload_words(row)}", _message(row)) for row, level in shown]
    left = len(levels) - len(shown)
    more = f" {left} more in the job summary." if left else ""
    return [
        *lines,
        _command(_ROLL_UP[result.verdict], f"dsabench gate: {result.verdict}", f"{clipped(result.reason, 400)}.{more}"),
    ]


def _level(row: GateRow, verdict: Verdict) -> _Level | None:
    """None: a row that asks nothing of the reader. Missing rows that the gate allowed are a warning still."""
    if row.verdict in (RowVerdict.SLOWER, RowVerdict.BROKEN, RowVerdict.INVALID):
        return "error"
    if row.verdict is RowVerdict.MISSING:
        return "warning" if verdict in (Verdict.PASS, Verdict.AMBIGUOUS) else "error"
    return "warning" if row.verdict is RowVerdict.UNCLEAR else None


def _message(row: GateRow) -> str:
    worse = "; ".join(change_words(change) for change in worst_changes(row) if change.worse)
    return "; ".join(part for part in (clipped(row.reason, 300), times_words(row), ratio_words(row), worse) if part)


def _command(level: _Level, title: str, message: str) -> str:
    """`::error title=…::…`. A message escapes %, CR and LF; a property `:` and `,` too (they end it)."""
    return (
        f"::{level} title={_property(clipped(plain_line(title), 160))}::{_data(clipped(plain_line(message), _MESSAGE))}"
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
