"""A gate as Markdown for GitHub's job summary or a pull-request comment: worst first, cut at the end to a limit."""

from __future__ import annotations

from collections import Counter
from itertools import takewhile

from dsabench.bench.gate.records import GateResult, GateRow, RowVerdict, Verdict
from dsabench.bench.gate.verdict import sorted_rows
from dsabench.reports.gate.escape import escaped, fenced
from dsabench.reports.gate.words import (
    QUIET,
    change_words,
    config_change_words,
    config_words,
    differing_versions,
    place_words,
    ratio_words,
    short_commit,
    times_words,
    workload_words,
    worst_changes,
)
from dsabench.reports.quantities import format_change, format_duration, format_percent
from dsabench.reports.summary import moment

SUMMARY_LIMIT = 1_000_000
"""bytes; of a step summary over 1024 KiB GitHub shows nothing at all"""
COMMENT_LIMIT = 65_000
"""bytes; a comment holds 65,536 characters"""
LEAST_LIMIT = 10_000
"""bytes; the headline alone may take half of them"""
_TAIL = 600
_MOST_NOTICES, _MOST_VERSIONS, _MOST_CHANGES, _MOST_COMMANDS = 20, 12, 8, 10
_LONGEST_COMMAND = 1000
"""characters; half a command is none, so a longer one is left to gate.json"""

_MARKS = {Verdict.PASS: "✅", Verdict.REGRESSED: "❌", Verdict.AMBIGUOUS: "⚠️", Verdict.INVALID: "⛔"}
_MEASURED = (
    "| verdict | kernel | workload | baseline → candidate | change | ratio (95 % interval) | noise | threshold | why |",
    "|---|---|---|--:|--:|--:|--:|--:|---|",
)
_STATIC = ("| verdict | kernel | workload | config | changes | why |", "|---|---|---|---|---|---|")


class _Page:
    """Lines up to a number of bytes. Blocks go in whole or not at all."""

    def __init__(self, limit: int) -> None:
        self.lines: list[str] = []
        self.left = limit

    def add(self, *lines: str) -> bool:
        size = sum(len(line.encode()) + 1 for line in lines)
        if size > self.left:
            return False
        self.lines += lines
        self.left -= size
        return True


def render_markdown(result: GateResult, limit: int = SUMMARY_LIMIT) -> str:
    """At most `limit` bytes of UTF-8: where they do not suffice, the last rows (the least bad) are left out whole and counted. Every
    string of the record is escaped. Raises ValueError for a limit below LEAST_LIMIT."""
    if limit < LEAST_LIMIT:
        raise ValueError(f"limit is {limit} bytes; the headline needs {LEAST_LIMIT}")
    page = _Page(limit - _TAIL)
    page.add(*_headline(result))
    _notices(page, result, limit // 4)
    rows = sorted_rows(result.rows)
    loud = list(takewhile(lambda row: row.verdict not in QUIET, rows))
    head = _STATIC if result.mode == "static" else _MEASURED
    shown = 0
    if not loud:
        page.add("No row is slower, broken or missing." if rows else "There is no row: nothing was compared.", "")
    elif page.add(*head):
        shown = _table(page, loud, result)
        page.add("")
    if shown == len(loud):
        _commands(page, result, loud)
        quiet = rows[shown:]
        if quiet and page.add(_opening(_counted(quiet)), "", *head):
            shown += _table(page, quiet, result)
            page.lines += ["", "</details>", ""]  # of _TAIL
    if shown < len(rows):
        left = rows[shown:]
        page.lines += [
            f"**{len(left)} rows are left out for want of room** ({_counted(left)}): gate.json has them all.",
            "",
        ]
    page.lines.append(f"<sub>{escaped(moment(result.started), 100)}, {format_duration(result.wall_s)}</sub>")
    return "\n".join(page.lines) + "\n"


def _counted(rows: list[GateRow]) -> str:
    """`12 SLOWER, 3 SAME`."""
    counts = Counter(row.verdict for row in rows)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in RowVerdict if counts[verdict])


def _opening(summary: str) -> str:
    return f"<details><summary>{summary}</summary>"


def _headline(result: GateResult) -> list[str]:
    words = {
        "journals": "two journals",
        "trees": "two source trees, measured interleaved",
        "static": "machine code, nothing was run",
    }
    facts = [words[result.mode], escaped(place_words(result), 300)]
    if result.mode != "static":
        facts.append(f"slow-downs up to {format_percent(result.min_effect)} are no concern")
        facts.append(f"noise: {escaped(result.noise_from)}" if result.noise_from else "")
    sides = (result.baseline, result.candidate)
    lines = [
        f"## {_MARKS[result.verdict]} dsabench gate: {result.verdict}",
        "",
        escaped(result.reason) or "(no reason was given)",
        "",
        "; ".join(fact for fact in facts if fact),
        "",
        "| | baseline | candidate |",
        "|---|---|---|",
        f"| source | {escaped(sides[0].name, 200)} | {escaped(sides[1].name, 200)} |",
        f"| commit | {' | '.join(escaped(short_commit(side.commit), 100) for side in sides)} |",
    ]
    if any(side.started for side in sides):
        taken = "compiled" if result.mode == "static" else "measured"
        starts = [escaped(moment(side.started), 100) if side.started else "" for side in sides]
        lines.append(f"| {taken} | {' | '.join(starts)} |")
    versions = differing_versions(result)
    for name, before, after in versions[:_MOST_VERSIONS]:
        lines.append(f"| {escaped(name, 60)} | {escaped(before, 60)} | {escaped(after, 60)} |")
    if len(versions) > _MOST_VERSIONS:
        lines.append(f"| … | {len(versions) - _MOST_VERSIONS} more versions differ | |")
    return [*lines, ""]


def _notices(page: _Page, result: GateResult, most: int) -> None:
    """Up to `most` bytes of them."""
    items = [f"- {escaped(notice)}" for notice in result.notices[:_MOST_NOTICES]]
    kept = []
    for item in items:
        most -= len(item.encode()) + 1
        if most < 0:
            break
        kept.append(item)
    if len(kept) < len(result.notices):
        kept.append(f"- … and {len(result.notices) - len(kept)} more, in gate.json")
    if kept:
        page.add(*kept, "")


def _table(page: _Page, rows: list[GateRow], result: GateResult) -> int:
    """Adds rows as long as they fit; how many did."""
    write = _static_row if result.mode == "static" else _measured_row
    for number, row in enumerate(rows):
        if not page.add(write(row)):
            return number
    return len(rows)


def _kernel(row: GateRow) -> str:
    name = escaped(row.name, 240)
    return f"{name}<br>renamed from {escaped(row.renamed_from, 160)}" if row.renamed_from else name


def _measured_row(row: GateRow) -> str:
    config = config_change_words(row)
    why = [
        escaped(row.reason),
        f"config: {escaped(config)}" if config else "",
        f"changes: {_changes(row)}" if row.changes else "",
    ]
    cells = [
        f"**{row.verdict}**",
        _kernel(row),
        escaped(workload_words(row), 300),
        times_words(row),
        format_change(row.lost_s) if row.lost_s is not None else "",
        ratio_words(row),
        format_percent(row.noise) if row.noise is not None else "",
        format_percent(row.threshold) if row.threshold is not None else "",
        "<br>".join(part for part in why if part),
    ]
    return f"| {' | '.join(cells)} |"


def _static_row(row: GateRow) -> str:
    differs = config_change_words(row)
    cells = [
        f"**{row.verdict}**",
        _kernel(row),
        escaped(workload_words(row), 300),
        escaped(differs or config_words(row)),
        _changes(row),
        escaped(row.reason),
    ]
    return f"| {' | '.join(cells)} |"


def _changes(row: GateRow) -> str:
    """One a line, bold where it is what made the row worse."""
    changes = worst_changes(row)
    words = [(escaped(change_words(change), 200), change.worse) for change in changes[:_MOST_CHANGES]]
    lines = [f"<b>{text}</b>" if worse else text for text, worse in words]
    if len(changes) > _MOST_CHANGES:
        lines.append(f"and {len(changes) - _MOST_CHANGES} more")
    return "<br>".join(lines)


def _commands(page: _Page, result: GateResult, loud: list[GateRow]) -> None:
    """What does it again: the whole gate, then the worst rows."""
    commands = [result.command, *(row.command for row in loud[:_MOST_COMMANDS])]
    kept = list(dict.fromkeys(command for command in commands if 0 < len(command) <= _LONGEST_COMMAND))
    if kept:
        page.add(_opening("To run it again"), "", *fenced(kept), "", "</details>", "")
