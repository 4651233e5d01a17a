"""The first lines of a section: what passed, what did not and why, what was left out, and what tuning gave."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from statistics import median

from dsabench.bench.records import Status, WorkloadId
from dsabench.bench.rerun import rerun_command
from dsabench.reports.failures import FailureGroup, shorten, top_reasons
from dsabench.reports.quantities import format_duration, format_percent, format_ratio
from dsabench.reports.sections import Run, Section, instant
from dsabench.reports.winners import WinnerRow

_FAILED = (
    Status.CRASHED,
    Status.TIMEOUT,
    Status.OUT_OF_MEMORY,
    Status.LAUNCH_ERROR,
    Status.COMPILE_ERROR,
)


@dataclass(frozen=True)
class Tile:
    """One count of the verdict strip; `details` are (count, reason)."""

    name: str
    count: int
    css_class: str
    details: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Headline:
    value: str
    what: str
    detail: str


def verdict_tiles(section: Section, groups: list[FailureGroup], rows: dict[str, list[WinnerRow]]) -> list[Tile]:
    """Passed, incorrect, failed, pruned, impossible and not tried; those that are always asked for stand even at 0."""
    counts = section.count_by_status()

    def tile(name: str, statuses: tuple[Status, ...], css_class: str) -> Tile:
        total = sum(counts[status.value] for status in statuses)
        return Tile(
            name, total, css_class, tuple((n, shorten(why, 90)) for n, why in top_reasons(groups, set(statuses)))
        )

    tiles = [
        Tile("passed", counts[Status.PASSED.value], "good", ()),
        tile("incorrect", (Status.INCORRECT,), "bad"),
        tile("failed", _FAILED, "bad"),
        tile("pruned", (Status.PRUNED,), "quiet"),
    ]
    if counts[Status.IMPOSSIBLE.value]:
        tiles.append(tile("impossible", (Status.IMPOSSIBLE,), "bad"))
    untried = [row for group in rows.values() for row in group if row.state == "untried"]
    skipped = [name for run in section.tuning_runs if run.end for name in run.end.skipped]
    details = [(len(untried), "announced, without a trial (rows below)")] if untried else []
    details += [(len(skipped), "skipped by the run (listed under provenance)")] if skipped else []
    tiles.append(Tile("not tried", len(untried) + len(skipped), "quiet", tuple(details)))
    return tiles


def notices(section: Section) -> list[str]:
    """What makes this less than a finished run, in whole sentences."""
    words = []
    for journal in section.journals:
        if journal.torn:
            words.append(f"{journal.path}: the last line was cut off while being written and is left out.")
    for run in section.runs:
        who = f"Run {run.header.run_id} ({run.path})"
        if run.end is None:
            words.append(f"{who} has no end record: it was killed, or was still running when this report was made.")
        elif run.end.reason != "complete":
            detail = f": {shorten(run.end.detail, 200)}" if run.end.detail else ""
            words.append(f"{who} ended early, by {run.end.reason}, after {format_duration(run.end.wall_s)}{detail}")
    without = [w for w in section.workloads.values() if w.key not in section.comparisons]
    if without and section.trials:
        words.append(
            f"Not re-timed interleaved: {len(without)} of {len(section.workloads)} workloads; their winners are provisional "
            "and their ratios have no interval."
        )
    if not section.trials and section.tuning_runs:
        words.append("No trial was finished.")
    if section.ceilings is None and section.tuning_runs:
        words.append("The ceilings were not measured: there is no roofline to stand under.")
    sources: dict[str, set[str]] = {}
    for name, source in (item for run in section.runs for item in run.header.sources.items()):
        sources.setdefault(name, set()).add(source)
    if any(len(versions) > 1 for versions in sources.values()):
        words.append("The runs of this section have different kernel sources; winners are the latest run's.")
    if section.superseded:
        words.append(
            f"Comparisons that were measured again later: {section.superseded}; the latest of each workload is shown."
        )
    return words


def _range(values: list[float], write: Callable[[float], str]) -> str:
    return f"{write(min(values))} to {write(max(values))}" if len(values) > 1 else ""


def _median_of(values: list[float]) -> str:
    return "1 workload" if len(values) == 1 else f"median of {len(values)} workloads"


def headlines(rows: dict[str, list[WinnerRow]], fastest: list[WinnerRow]) -> list[Headline]:
    """Medians over workloads, with their ranges: what a reader takes away if nothing else. Against torch stands the best
    other implementation of each workload, also where it lost."""
    others: dict[str, float] = {}
    for row in (row for group in rows.values() for row in group):
        if row.workload is not None and row.impl != "torch" and row.over_torch:
            others[row.workload.key] = max(others.get(row.workload.key, 0.0), row.over_torch.value)
    over_torch = list(others.values())
    over_default = [row.over_default.value for row in fastest if row.over_default]
    fractions = [row.fraction for row in fastest if row.fraction is not None]
    found = []
    if over_torch:
        what = f"as fast as torch's default config ({_median_of(over_torch)})"
        found.append(Headline(format_ratio(median(over_torch)), what, _range(over_torch, format_ratio)))
    if over_default:
        what = f"as fast as its own default config ({_median_of(over_default)})"
        found.append(Headline(format_ratio(median(over_default)), what, _range(over_default, format_ratio)))
    if fractions:
        what = f"of the measured roofline ({_median_of(fractions)})"
        found.append(Headline(format_percent(median(fractions)), what, _range(fractions, format_percent)))
    return found


def timing_words(section: Section) -> str:
    """`wall clock, median of 24–60 samples, 95 % interval`, from what the trials recorded."""
    timings = [trial.timing for trial in section.trials if trial.timing]
    if not timings:
        return "nothing was timed"
    clocks = ", ".join(sorted({timing.clock.replace("_", " ") for timing in timings}))
    low, high = min(t.n for t in timings), max(t.n for t in timings)
    samples = f"{low}–{high}" if low != high else f"{low}"
    # The interval is made of order statistics, so its coverage is the next that the samples allow above the one asked for.
    sure = sorted({f"{100 * t.confidence:.0f}" for t in timings}, key=float)
    confidence = f"{sure[0]} %" if len(sure) == 1 else f"{sure[0]}–{sure[-1]} %"
    return f"{clocks} clock; median of {samples} samples with a {confidence} interval; winners re-timed interleaved"


def short_commit(commit: str) -> str:
    """Twelve digits of a commit's forty, with its `-dirty`."""
    return re.sub(r"^([0-9a-f]{12})[0-9a-f]{28}", r"\1", shorten(commit, 60))


def moment(text: str) -> str:
    """`2026-01-02 03:04 UTC`; what is no timestamp stays as it is."""
    when = instant(text)
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when else shorten(text, 40)


def reproduce_command(run: Run, workload: WorkloadId, impl: str) -> str:
    """Measures one row again, with the run's suite, strategy, effort and seed, beside `torch`."""
    return rerun_command(run.header, workload, impl)
