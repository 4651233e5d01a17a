"""Does the gate cry wolf, and what does it miss? The same tree on both sides, many times, the candidate slowed down on purpose or not.

False alarms and slow-downs found are counted on the machine at hand; the gate that is tried is `gate_trees`, whole.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError
from scipy import stats

from dsabench.bench.gate.records import GateResult, RowVerdict, Verdict
from dsabench.bench.gate.tree_gate import TreeGate, gate_trees
from dsabench.bench.records import Record

SAME_CODE_RUNS = 50
SLOWED_RUNS = {0.01: 10, 0.03: 10, 0.05: 20, 0.10: 10}
"""By slow-down: most of those that the gate must find."""
RUNS_NAME = "self-test.jsonl"
MOST_FALSE = 0.01
FOUND = 0.95


class SelfTestRow(Record):
    name: str
    verdict: RowVerdict
    ratio: float | None
    noise: float | None
    passes: int


class SelfTestRun(Record):
    """One whole gate. slow_by: relative, 0 for the same code; a line of the self-test's file."""

    slow_by: float
    verdict: Verdict
    reason: str
    wall_s: float
    started: str
    commit: str
    rows: list[SelfTestRow]


@dataclass(frozen=True)
class Level:
    """All runs with one slow-down. rows: those with a verdict from times; slower, unclear: of them; regressed: runs."""

    slow_by: float
    runs: int
    regressed: int
    rows: int
    slower: int
    unclear: int

    @property
    def share(self) -> float:
        """Of rows called slower."""
        return self.slower / self.rows if self.rows else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, 95 %, Clopper and Pearson."""
        found = stats.binomtest(self.slower, self.rows).proportion_ci(0.95, "exact")
        return float(found.low), float(found.high)


def planned_runs(same_code: int, slowed: dict[float, int], done: Iterable[SelfTestRun], seed: int) -> list[float]:
    """The slow-downs of the runs still to be made, in seeded random order, so that a budget that ends early and a machine that
    changes meet all alike."""
    left = {0.0: same_code, **slowed}
    for run in done:
        if run.slow_by in left:
            left[run.slow_by] -= 1
    order = [slow_by for slow_by, count in left.items() for _ in range(max(0, count))]
    random.Random(seed).shuffle(order)
    return order


def run_once(gate: TreeGate, slow_by: float, number: int, logs: Path, tell: Callable[[str], None]) -> SelfTestRun:
    """As `gate_trees`."""
    result = gate_trees(replace(gate, slow_by=slow_by, seed=gate.seed + 100_000 * number), logs, tell)
    return summary_of(result, slow_by)


def summary_of(result: GateResult, slow_by: float) -> SelfTestRun:
    return SelfTestRun(
        slow_by=slow_by,
        verdict=result.verdict,
        reason=result.reason,
        wall_s=result.wall_s,
        started=result.started,
        commit=result.candidate.commit,
        rows=[
            SelfTestRow(
                name=f"{row.name} {row.axes}",
                verdict=row.verdict,
                ratio=row.ratio.ratio if row.ratio else None,
                noise=row.noise,
                passes=row.passes,
            )
            for row in result.rows
        ],
    )


def levels_of(runs: Sequence[SelfTestRun]) -> list[Level]:
    """In the order of the slow-down."""
    found = []
    for slow_by in sorted({run.slow_by for run in runs}):
        mine = [run for run in runs if run.slow_by == slow_by]
        rows = [row for run in mine for row in run.rows if row.ratio is not None]
        found.append(
            Level(
                slow_by=slow_by,
                runs=len(mine),
                regressed=sum(run.verdict is Verdict.REGRESSED for run in mine),
                rows=len(rows),
                slower=sum(row.verdict is RowVerdict.SLOWER for row in rows),
                unclear=sum(row.verdict is RowVerdict.UNCLEAR for row in rows),
            )
        )
    return found


def smallest_found(levels: Sequence[Level]) -> float | None:
    """The smallest slow-down tried that was found in FOUND of the rows, as every larger one was; None: none was."""
    found = None
    for level in sorted(levels, key=lambda each: -each.slow_by):
        if level.slow_by == 0.0 or not level.rows or level.share < FOUND:
            break
        found = level.slow_by
    return found


def is_calibrated(levels: Sequence[Level]) -> bool:
    """The same code was called slower in at most MOST_FALSE of the rows and no run REGRESSED by it."""
    same = next((level for level in levels if level.slow_by == 0.0), None)
    return same is not None and same.rows > 0 and same.share <= MOST_FALSE and same.regressed == 0


def read_runs(path: Path) -> list[SelfTestRun]:
    """What an earlier self-test wrote; nothing where there is no file. A line cut off by a kill is left out. Raises ValueError for any
    other that is none of a self-test's."""
    if not path.exists():
        return []
    runs = []
    *lines, _ = path.read_text().split("\n")
    for number, line in enumerate(lines, start=1):
        try:
            runs.append(SelfTestRun.model_validate_json(line))
        except ValidationError as error:
            raise ValueError(f"{path}, line {number}: no run of a self-test: {error.errors()[0]['msg']}") from error
    return runs
