"""What one journal says of each of its rows: an implementation on a workload, or a side of `compare --dense` at a length."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dsabench.bench.gate.renamed import Name
from dsabench.bench.journal import Journal
from dsabench.bench.records import (
    Candidate,
    Comparison,
    ConfigValues,
    End,
    Header,
    PipelinePoint,
    SideRecord,
    Status,
    Trial,
    WorkloadId,
)
from dsabench.bench.rerun import rerun_command, rerun_dense_command
from dsabench.kernels.sizes import format_size

SIDES = ("sparse", "dense", "eager")
Place = tuple[str, str, str]
"""op, implementation, the workload's key"""


@dataclass(frozen=True)
class Measured:
    """Median seconds of a call with its interval; noise: relative, within this run; rounds: interleaved, 0 of a trial alone."""

    config: ConfigValues
    median_s: float
    low_s: float
    high_s: float
    noise: float
    rounds: int


@dataclass(frozen=True)
class Found:
    """winner, default: of the interleaved rounds of the latest comparison in which the implementation has a place; default else of a
    full trial of its own; best: of the trials, where there is no winner. failure: why there is no time at all; default_failure: why
    the default config has none although others do. status: of either. source: hash; empty: unknown."""

    workload: WorkloadId
    source: str
    command: str
    winner: Measured | None = None
    default: Measured | None = None
    best: Measured | None = None
    status: Status | None = None
    failure: str = ""
    default_failure: str = ""

    @property
    def timed(self) -> Measured | None:
        """What it is known by without another journal beside it."""
        return self.winner or self.default or self.best


@dataclass(frozen=True)
class JournalSide:
    journal: Journal
    rows: dict[Place, Found]

    @property
    def header(self) -> Header:
        """Of the latest run."""
        return self.journal.headers[-1]

    @property
    def run_ids(self) -> set[str]:
        return {header.run_id for header in self.journal.headers}

    @property
    def end(self) -> End | None:
        """Of the latest run; None: killed, or still running."""
        ends = self.journal.ends
        return ends[-1] if ends and ends[-1].ended >= self.header.started else None

    def workloads_of(self) -> dict[Name, set[str]]:
        """The keys of each implementation's workloads."""
        found: dict[Name, set[str]] = {}
        for op, impl, key in self.rows:
            found.setdefault((op, impl), set()).add(key)
        return found

    def why_missing(self, workload: WorkloadId, impl: str) -> str:
        """Why there is no row: what the run says that it skipped, or that it never came to it."""
        skipped = [text for end in self.journal.ends for text in end.skipped]
        said = next((text for text in skipped if _names(text, workload, impl)), None)
        if said is not None:
            return said
        if self.end is None:
            return "not reached: the run has no end record, it was killed or is still running"
        if self.end.reason != "complete":
            return f"not reached: {self.end.reason}"
        return "not part of the run"


def _names(text: str, workload: WorkloadId, impl: str) -> bool:
    """Whether a line of `End.skipped` is of this row: `op/impl s_q=1 …, what: why`, `op s_q=1 …, all implementations: why`,
    `op/impl: why`, `impl (op, op): why`."""
    axes = " ".join(f"{name}={format_size(value)}" for name, value in workload.axes.items())
    label = axes if workload.distribution == "normal" else f"{axes} ({workload.distribution})"
    op = workload.op
    names = (f"{op}/{impl} {label}", f"{op} {label}", f"{op}/{impl}")
    if any(text.startswith(name) and text[len(name) : len(name) + 1] in (",", ":") for name in names):
        return True
    ops = text.removeprefix(f"{impl} (").partition("):")[0]
    return text.startswith(f"{impl} (") and op in ops.split(", ")


def journal_side(journal: Journal) -> JournalSide:
    """Rows that have a time or failed; of a workload that is in it twice the latest."""
    sources = {name: source for header in journal.headers for name, source in header.sources.items()}
    header = journal.headers[-1]
    comparisons: dict[Place, Comparison] = {}
    for comparison in journal.comparisons:
        workload = comparison.workload
        comparisons |= {(workload.op, impl, workload.key): comparison for impl in comparison.winners}
    trials: dict[Place, list[Trial]] = {}
    for trial in journal.trials:
        trials.setdefault((trial.op, trial.impl, trial.workload.key), []).append(trial)
    rows: dict[Place, Found] = {}
    for place in dict.fromkeys([*comparisons, *trials]):
        op, impl, _ = place
        mine = trials.get(place, [])
        workload = comparisons[place].workload if place in comparisons else mine[0].workload
        found = Found(workload, sources.get(f"{op}/{impl}", ""), rerun_command(header, workload, impl))
        rows[place] = _with_times(found, impl, comparisons.get(place), mine)
    for point in journal.pipelines:
        rows |= dict(_pipeline_rows(point, header, sources))
    return JournalSide(journal, rows)


def _with_times(found: Found, impl: str, comparison: Comparison | None, trials: Sequence[Trial]) -> Found:
    passed = [trial for trial in trials if trial.status is Status.PASSED and trial.timing is not None]
    defaults = [trial for trial in trials if trial.is_default and trial.rung == 0]
    winner = default = best = None
    if comparison is not None:
        won = comparison.winners[impl]
        winner = _of_candidate(comparison.candidates[won.winner], comparison.noise)
        default = None if won.default is None else _of_candidate(comparison.candidates[won.default], comparison.noise)
    elif passed:
        # Cheaper rungs are too loose to rank beside full trials.
        most = max(map(_effort, passed))
        best = min((_of_trial(t) for t in passed if _effort(t) == most), key=lambda m: m.median_s)
    if default is None and defaults and defaults[-1] in passed:
        default = _of_trial(defaults[-1])
    found = replace(found, winner=winner, default=default, best=best)
    failed = defaults[-1] if defaults and defaults[-1] not in passed else None
    if found.timed is None:
        failed = failed or next((t for t in trials if t.status is not Status.PRUNED), trials[0])
        return replace(found, status=failed.status, failure=f"{failed.status}: {failed.reason}")
    if failed is not None:
        return replace(found, status=failed.status, default_failure=f"{failed.status}: {failed.reason}")
    return found


def _effort(trial: Trial) -> float:
    return math.inf if trial.rung == 0 else trial.rung


def _half_width(low: float, median: float, high: float) -> float:
    return (high - low) / 2.0 / median


def _of_candidate(candidate: Candidate, noise: float) -> Measured:
    low, median, high = candidate.low_s, candidate.median_s, candidate.high_s
    return Measured(candidate.config, median, low, high, max(noise, _half_width(low, median, high)), candidate.n)


def _of_trial(trial: Trial) -> Measured:
    timing = trial.timing
    assert timing is not None
    low, median, high = timing.low_s, timing.median_s, timing.high_s
    return Measured(trial.config, median, low, high, _half_width(low, median, high), 0)


def _pipeline_rows(point: PipelinePoint, header: Header, sources: dict[str, str]) -> Iterator[tuple[Place, Found]]:
    op = f"pipeline_{point.phase}"
    axes = {"context": point.context, **point.axes}
    key = f"{axes} {point.distribution} {point.seed}"
    workload = WorkloadId(key=key, op=op, axes=axes, distribution=point.distribution, seed=point.seed)
    command = rerun_dense_command(header, point)
    for name in SIDES:
        side: SideRecord | None = getattr(point, name)
        if side is not None and side.check.passed:
            yield (
                (op, name, key),
                Found(workload, _side_source(name, side, sources), command, winner=_of_side(side, point.noise)),
            )
        elif name in point.gaps or side is not None:
            why = point.gaps.get(name) or (f"{Status.INCORRECT}: {side.check.reason}" if side else "")
            yield (op, name, key), Found(workload, "", command, status=_gap_status(why), failure=why)


def _gap_status(why: str) -> Status | None:
    """None: the side was left out for a reason that is no fault of its own, such as memory that does not reach."""
    if why.startswith("the worker crashed"):
        return Status.CRASHED
    return next((status for status in Status if why.startswith(f"{status}:")), None)


def _of_side(side: SideRecord, noise: float) -> Measured:
    low, median, high = side.time.low_s, side.time.median_s, side.time.high_s
    config: ConfigValues = {}
    for stage in side.stages:
        config |= {stage.name: stage.impl} | {f"{stage.name}.{name}": value for name, value in stage.config.items()}
    rounds = len(side.time.rounds_s)
    return Measured(config, median, low, high, max(noise, _half_width(low, median, high)), rounds)


def _side_source(name: str, side: SideRecord, sources: dict[str, str]) -> str:
    """Of all implementations that the side is made of."""
    impls = {stage.impl for stage in side.stages}
    mine = [
        f"{who}={source}"
        for who, source in sorted(sources.items())
        if who.startswith("dense_") == (name != "sparse") and who.partition("/")[2] in impls
    ]
    return " ".join(mine) if all(sources.values()) else ""
