"""Maps of two tunables: the best time at each pair of values, whatever the others are, and where nothing could be measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dsabench.bench.records import Status, WorkloadId
from dsabench.reports.failures import SEVERITY
from dsabench.reports.parameters import Effect, ParameterStudy, best_by_code, fastest_codes
from dsabench.reports.quantities import format_time
from dsabench.reports.tried import ABSENT, Tried, Value

LETTERS = {
    Status.IMPOSSIBLE: "!",
    Status.INCORRECT: "I",
    Status.CRASHED: "X",
    Status.TIMEOUT: "T",
    Status.OUT_OF_MEMORY: "M",
    Status.LAUNCH_ERROR: "L",
    Status.COMPILE_ERROR: "C",
    Status.PRUNED: "P",
}


@dataclass(frozen=True)
class HeatCell:
    """One pair of values. slowdown: its best time over the map's best; None when nothing passed."""

    slowdown: float | None
    best_s: float | None
    passed: int
    failed: tuple[tuple[Status, int], ...]
    """worst status first"""
    is_default: bool
    """the default config is among its configs"""

    @property
    def marks(self) -> str:
        """A letter for each way in which configs failed. Of those pruned only where nothing passed: leaving some out is their use."""
        return "".join(LETTERS[s] for s, _ in self.failed if s is not Status.PRUNED or not self.passed)

    @property
    def css_class(self) -> str:
        names = {
            "top": self.slowdown is not None and self.slowdown < 1.005,
            "default": self.is_default,
            "bad": not self.passed and any(status is not Status.PRUNED for status, _ in self.failed),
        }
        return " ".join(name for name, holds in names.items() if holds)

    @property
    def heat(self) -> int:
        """Per cent of the strongest tint: all of it at the best, none from twice its time."""
        return 0 if self.slowdown is None else round(max(0.0, 60 * (2 - self.slowdown)))

    @property
    def words(self) -> str:
        counts = [f"{self.passed} passed"] if self.passed else []
        counts += [f"{count} {status.value}" for status, count in self.failed]
        best = [f"best {format_time(self.best_s)}"] if self.best_s is not None else []
        return ", ".join([*best, *counts, *(["the default is here"] if self.is_default else [])])


@dataclass(frozen=True)
class HeatMap:
    """One workload. cells[i][j]: at down's i-th and across' j-th value; None: no config was tried there."""

    workload: WorkloadId
    configs: int
    best_s: float
    rows: tuple[Value, ...]
    columns: tuple[Value, ...]
    cells: tuple[tuple[HeatCell | None, ...], ...]
    left_out: int
    """values of either tunable beyond the best 16"""


@dataclass(frozen=True)
class HeatSeries:
    """One implementation of an op: the same two tunables on each of its workloads, the one with most configs first."""

    op: str
    impl: str
    down: str
    across: str
    maps: tuple[HeatMap, ...]

    @property
    def letters(self) -> list[tuple[str, Status]]:
        """Those that stand in a cell, for the legend."""
        marks = {mark for m in self.maps for row in m.cells for cell in row if cell for mark in cell.marks}
        return [(letter, status) for status, letter in LETTERS.items() if letter in marks]


def heat_series(by_impl: Iterable[list[Tried]], studies: Iterable[ParameterStudy], most: int) -> list[HeatSeries]:
    """Of each implementation with two tunables that vary: the two that matter most where most configs passed. At most `most` maps
    of each, the contexts with most configs."""
    found = {(study.op, study.impl): study for study in studies}
    series = []
    for group in by_impl:
        study = found.get((group[0].op, group[0].impl))
        if study is None or len(study.effects) < 2:
            continue
        down, across = sorted(study.effects[:2], key=lambda effect: -_count(group[0], effect))
        maps = [_map(tried, down.tunable, across.tunable) for tried in group[:most]]
        series.append(
            HeatSeries(study.op, study.impl, down.tunable, across.tunable, tuple(m for m in maps if m is not None))
        )
    return series


def _count(tried: Tried, effect: Effect) -> int:
    return len(tried.values[effect.tunable])


def _map(tried: Tried, down: str, across: str) -> HeatMap | None:
    if down not in tried.codes or across not in tried.codes:
        return None
    row_codes, column_codes = tried.codes[down], tried.codes[across]
    rows = fastest_codes(best_by_code(row_codes, tried.seconds, len(tried.values[down])))
    columns = fastest_codes(best_by_code(column_codes, tried.seconds, len(tried.values[across])))
    both = (row_codes != ABSENT) & (column_codes != ABSENT)
    pairs = row_codes * len(tried.values[across]) + column_codes
    best = best_by_code(
        np.where(both, pairs, ABSENT), tried.seconds, len(tried.values[down]) * len(tried.values[across])
    )
    outcomes = Counter(zip(pairs[both].tolist(), tried.status[both].tolist(), strict=True))
    by_pair: dict[int, dict[str, int]] = {}
    for (pair, status), count in outcomes.items():
        by_pair.setdefault(pair, {})[status] = count
    fastest = float(np.nanmin(tried.seconds))
    default = int(pairs[tried.default]) if tried.default is not None and both[tried.default] else None

    def cell(row: int, column: int) -> HeatCell | None:
        pair = row * len(tried.values[across]) + column
        counts = by_pair.get(pair)
        if counts is None:
            return None
        seconds = float(best[pair]) if np.isfinite(best[pair]) else None
        return HeatCell(
            slowdown=None if seconds is None else seconds / fastest,
            best_s=seconds,
            passed=counts.get(Status.PASSED.value, 0),
            failed=tuple((status, counts[status.value]) for status in SEVERITY if status.value in counts),
            is_default=pair == default,
        )

    return HeatMap(
        workload=tried.workload,
        configs=len(tried.seconds),
        best_s=fastest,
        rows=tuple(tried.values[down][code] for code in rows),
        columns=tuple(tried.values[across][code] for code in columns),
        cells=tuple(tuple(cell(int(row), int(column)) for column in columns) for row in rows),
        left_out=len(tried.values[down]) - len(rows) + len(tried.values[across]) - len(columns),
    )
