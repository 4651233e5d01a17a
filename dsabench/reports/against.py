"""Older runs beside the report's own: what became slower or faster since, in time a call. The rows are the gate's."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from dsabench.bench.gate.journals import gate_journals
from dsabench.bench.gate.records import GateResult, GateRow, RowVerdict
from dsabench.bench.journal import JOURNAL_NAME, Journal
from dsabench.reports.figures.movers import draw_movers
from dsabench.reports.figures.svg import renditions
from dsabench.reports.figures.theme import PAGE
from dsabench.reports.gate.movers import movers_of
from dsabench.reports.gate.words import differing_versions
from dsabench.reports.sections import Section

MIN_EFFECT = 0.03
"""relative: the default of `dsabench gate --min-effect`"""
ONE_SIDED = (RowVerdict.MISSING, RowVerdict.NEW)


class AgainstError(Exception):
    """Two runs that cannot be held against each other; the message says why, in one line."""


@dataclass(frozen=True)
class AgainstView:
    """One comparison with older runs. names: of the two sides, short; rows: those that both sides have, the largest change in time
    first, those without times after them; one_sided: missing and new ones."""

    anchor: str
    old: str
    new: str
    result: GateResult
    figure: list[Markup]
    rows: list[GateRow]
    one_sided: list[GateRow]

    @property
    def counts(self) -> str:
        """`2 slower, 1 faster, 12 same`."""
        return ", ".join(f"{count} {verdict.lower()}" for verdict, count in self.result.counts().items() if count)

    @property
    def versions(self) -> list[tuple[str, str, str]]:
        """(package, old, new) of those that differ."""
        return differing_versions(self.result)


def compare_with(sections: Sequence[Section], older: Sequence[Journal]) -> dict[str, list[GateResult]]:
    """By device key. Older runs of one commit are put together: their median counts, and how far they lie apart is noise; those of
    different commits are compared one by one. Each journal of the device that names an op of theirs is a candidate. Raises
    AgainstError for another device's journal, or one that would be compared with itself."""
    results: dict[str, list[GateResult]] = {}
    by_key = {section.device.key: section for section in sections}
    groups: dict[tuple[str, str], list[Journal]] = {}
    for journal in older:
        header = journal.headers[-1]
        if header.device.key not in by_key:
            raise AgainstError(
                f"{journal.path} was measured on {header.device.key}, the report is of {', '.join(by_key) or 'no device'}: "
                "times hold for one device"
            )
        commit = header.git_commit
        # Two dirty trees of one commit, or two unknown ones, may be anything.
        known = commit if commit != "unknown" and not commit.endswith("-dirty") else str(journal.path)
        groups.setdefault((header.device.key, known), []).append(journal)
    for (key, _), baselines in groups.items():
        ops = set().union(*map(_ops, baselines))
        candidates = [journal for journal in by_key[key].journals if _ops(journal) & ops]
        if not candidates:
            raise AgainstError(f"{baselines[0].path} and the report have no measured op in common")
        for candidate in candidates:
            words = ["dsabench", "gate", str(candidate.path)]
            words += [word for baseline in baselines for word in ("--baseline", str(baseline.path))]
            result = gate_journals(baselines, candidate, MIN_EFFECT, allow_missing=False, command=shlex.join(words))
            if not result.rows:
                raise AgainstError(result.reason)
            results.setdefault(key, []).append(result)
    return results


def _ops(journal: Journal) -> set[str]:
    measured = {trial.op for trial in journal.trials} | {made.workload.op for made in journal.comparisons}
    return measured | {f"pipeline_{point.phase}" for point in journal.pipelines}


def against_views(results: Sequence[GateResult], anchor: str) -> list[AgainstView]:
    return [_view(result, f"{anchor}-against{index}") for index, result in enumerate(results, start=1)]


def _view(result: GateResult, anchor: str) -> AgainstView:
    movers = movers_of(result)
    old, new = _short_names(result.baseline.name, result.candidate.name)
    both = [row for row in result.rows if row.verdict not in ONE_SIDED]
    return AgainstView(
        anchor=anchor,
        old=old,
        new=new,
        result=result,
        figure=renditions(
            lambda narrow: draw_movers(movers, PAGE, narrow=narrow),
            anchor,
            f"Change of time from {old} to {new}; the table holds its numbers",
        )
        if movers
        else [],
        rows=sorted(both, key=lambda row: (row.lost_s is None, -abs(row.lost_s or 0.0))),
        one_sided=[row for row in result.rows if row.verdict in ONE_SIDED],
    )


def _short_names(old: str, new: str) -> tuple[str, str]:
    """The folders that hold the journals, without the beginning that both share."""
    sides = [[_folders(path) for path in name.split(", ")] for name in (old, new)]
    every = [parts for side in sides for parts in side]
    shared = 0
    while all(len(parts) > shared + 1 for parts in every) and len({parts[shared] for parts in every}) == 1:
        shared += 1
    words = [", ".join("/".join(parts[shared:]) for parts in side) for side in sides]
    return words[0], words[1]


def _folders(path: str) -> list[str]:
    parts = path.split("/")
    return parts[:-1] if len(parts) > 1 and parts[-1].startswith(JOURNAL_NAME) else parts
