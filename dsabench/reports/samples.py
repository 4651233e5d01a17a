"""Distributions of the finalists: the rounds of the comparison, first half against second, and the samples of the search's trial.

A strip and a box each, as paths in a box 1000 units wide that the page stretches to its width. Finalists of like times share an axis;
one axis from zero for all is the same drawing moved and shrunk by a matrix, so that the page carries each point once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from dsabench.bench.intervals import thin
from dsabench.bench.records import Candidate, Comparison, Status, WorkloadId
from dsabench.reports.quantities import Span, format_config, format_time, time_unit
from dsabench.reports.sections import Section, config_key

MOST_POINTS = 60
"""of a strip"""
LEAST_FOR_A_BOX = 5
"""Quartiles of fewer are some of the points themselves."""
LEAST_FOR_DRIFT = 6
WIDEST_GROUP = 1.5
"""slowest over fastest median of the finalists that share an axis"""
FENCE = 3.0
"""interquartile ranges beyond the quartiles up to which a point is drawn in its place: further ones would set the scale"""
LANE = 12
"""height of a lane, in CSS pixels"""
_WIDTH = 1000.0


@dataclass(frozen=True)
class Tick:
    """at: per cent of the width."""

    at: float
    text: str


@dataclass(frozen=True)
class Lane:
    """One distribution of a finalist. Paths are empty where there is nothing to draw; above, below: points beyond the axis."""

    name: str
    n: int
    median_s: float
    strip: str
    box: str
    median: str
    below: int
    above: int
    least_s: float
    most_s: float

    @property
    def words(self) -> str:
        return f"{self.name}: {self.n} samples, median {format_time(self.median_s)}"

    @property
    def beyond(self) -> str:
        """Of the samples that stand beyond the axis; empty where there are none."""
        ends = [f"down to {format_time(self.least_s)}"] if self.below else []
        ends += [f"up to {format_time(self.most_s)}"] if self.above else []
        return (
            f"{self.name}: {self.below + self.above} of {self.n} beyond the axis, {' and '.join(ends)}" if ends else ""
        )


@dataclass(frozen=True)
class FinalistSamples:
    """drift: median of the second half of the rounds over that of the first, less 1; None with too few rounds."""

    impl: str
    config: str
    part: str
    time: Span
    drift: float | None
    lanes: tuple[Lane, ...]

    @property
    def height(self) -> int:
        return LANE * len(self.lanes)

    @property
    def boxes(self) -> str:
        return "".join(lane.box for lane in self.lanes)

    @property
    def medians(self) -> str:
        return "".join(lane.median for lane in self.lanes)

    @property
    def beyond(self) -> list[str]:
        return [lane.beyond for lane in self.lanes if lane.beyond]

    @property
    def label(self) -> str:
        return f"{self.impl} {self.config}. " + "; ".join(lane.words for lane in self.lanes)


@dataclass(frozen=True)
class Group:
    """Finalists on one axis. matrix: of CSS, from this axis to the one from zero."""

    finalists: tuple[FinalistSamples, ...]
    ticks: tuple[Tick, ...]
    matrix: str


@dataclass(frozen=True)
class SampleFigure:
    """The finalists of a workload, fastest first."""

    op: str
    workload: WorkloadId
    noise: float
    rounds: int
    groups: tuple[Group, ...]
    from_zero: tuple[Tick, ...]


def sample_figures(section: Section) -> list[SampleFigure]:
    """In the report's order of workloads; those that were compared."""
    compared = [w.key for op in section.ops for w in section.workloads_of(op) if w.key in section.comparisons]
    trials = _trials(section, compared)
    return [_figure(section, section.comparisons[key], trials) for key in compared]


def _trials(section: Section, keys: Sequence[str]) -> dict[tuple[str, str, str], int]:
    """By workload, implementation and config the trial that passed with the most effort, the last among equals."""
    frame = section.frame
    frame = frame[(frame["status"] == Status.PASSED.value) & frame["workload"].isin(keys)]
    wanted = pd.DataFrame(
        [(key, c.impl, config_key(c.config)) for key in keys for c in section.comparisons[key].candidates],
        columns=["workload", "impl", "config"],
        dtype=object,
    ).drop_duplicates()
    found = frame.merge(wanted, on=["workload", "impl", "config"]).sort_values(["effort", "order"], kind="stable")
    names = zip(found["workload"], found["impl"], found["config"], strict=True)
    return {(str(w), str(i), str(c)): int(order) for (w, i, c), order in zip(names, found["order"], strict=True)}


@dataclass(frozen=True)
class _Drawn:
    """What stands in the lanes of a finalist, before there is an axis."""

    candidate: Candidate
    part: str
    lanes: tuple[tuple[str, np.ndarray], ...]


def _figure(section: Section, comparison: Comparison, trials: dict[tuple[str, str, str], int]) -> SampleFigure:
    drawn = []
    for index, candidate in enumerate(comparison.candidates):
        rounds = np.array(candidate.rounds_s, dtype=float)
        half = len(rounds) // 2
        lanes = [("1st half", rounds[:half]), ("2nd half", rounds[half:])] if half else [("rounds", rounds)]
        order = trials.get((comparison.workload.key, candidate.impl, config_key(candidate.config)))
        timing = section.trials[order].timing if order is not None else None
        if timing is not None and timing.samples_s:
            lanes.append(("trial", np.array(timing.samples_s, dtype=float)))
        lanes = [(name, values) for name, values in lanes if len(values)]
        if lanes:
            drawn.append(_Drawn(candidate, _part(comparison, index), tuple(lanes)))
    drawn.sort(key=lambda each: each.candidate.median_s)
    groups: list[list[_Drawn]] = []
    for each in drawn:
        if groups and each.candidate.median_s <= WIDEST_GROUP * groups[-1][0].candidate.median_s:
            groups[-1].append(each)
        else:
            groups.append([each])
    axes = [_axis(group) for group in groups]
    end = max((high for _, high in axes), default=1.0)
    return SampleFigure(
        op=comparison.workload.op,
        workload=comparison.workload,
        noise=comparison.noise,
        rounds=max((len(c.rounds_s) for c in comparison.candidates), default=0),
        groups=tuple(_group(group, axis, end) for group, axis in zip(groups, axes, strict=True)),
        from_zero=_ticks(0.0, end),
    )


def _part(comparison: Comparison, index: int) -> str:
    impl = comparison.candidates[index].impl
    outcome = comparison.winners.get(impl)
    if outcome is None:
        return ""
    words = ["winner"] if index == outcome.winner else ["tie"] if index in outcome.ties else []
    return ", ".join([*words, *(["default"] if index == outcome.default else [])])


def _axis(group: Sequence[_Drawn]) -> tuple[float, float]:
    """From the least to the greatest of what no lane calls far out, and a little room."""
    ends = [_fences(values) for each in group for _, values in each.lanes]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    # The second keeps an axis where all samples are equal.
    room = max(0.03 * (high - low), 0.002 * high)
    return max(low - room, 0.0), high + room


def _fences(values: np.ndarray) -> tuple[float, float]:
    """Least and greatest of those that do not lie far out."""
    first, middle, third = np.quantile(values, [0.25, 0.5, 0.75])
    # 1 %: where most samples are equal the quartiles are too, and every other sample would count as far out.
    reach = max(FENCE * (third - first), 0.01 * middle)
    near = values[(values >= first - reach) & (values <= third + reach)]
    return float(near.min()), float(near.max())


def _group(group: Sequence[_Drawn], axis: tuple[float, float], end: float) -> Group:
    low, high = axis
    return Group(
        finalists=tuple(_finalist(each, axis) for each in group),
        ticks=_ticks(low, high),
        matrix=f"matrix({(high - low) / end:.5f},0,0,1,{_WIDTH * low / end:.2f},0)",
    )


def _finalist(drawn: _Drawn, axis: tuple[float, float]) -> FinalistSamples:
    candidate = drawn.candidate
    halves = [values for name, values in drawn.lanes if name.endswith("half")]
    enough = sum(len(values) for values in halves) >= LEAST_FOR_DRIFT
    return FinalistSamples(
        impl=candidate.impl,
        config=format_config(candidate.config),
        part=drawn.part,
        time=Span(candidate.median_s, candidate.low_s, candidate.high_s),
        drift=float(np.median(halves[1]) / np.median(halves[0])) - 1 if enough else None,
        lanes=tuple(_lane(name, values, axis, LANE * i) for i, (name, values) in enumerate(drawn.lanes)),
    )


def _lane(name: str, values: np.ndarray, axis: tuple[float, float], top: int) -> Lane:
    low, high = axis

    def at(seconds: float) -> int:
        return round(_WIDTH * min(max((seconds - low) / (high - low), 0.0), 1.0))

    inside = values[(values >= low) & (values <= high)]
    first, middle, third = (float(v) for v in np.quantile(values, [0.25, 0.5, 0.75]))
    box = f"M{at(first)} {top + 2}H{at(third)}v8H{at(first)}z" if len(values) >= LEAST_FOR_A_BOX else ""
    return Lane(
        name=name,
        n=len(values),
        median_s=middle,
        strip="".join(f"M{at(seconds)} {top + 3}v6" for seconds in thin(inside.tolist(), MOST_POINTS)),
        box=box,
        median=f"M{at(middle)} {top + 1}v10",
        below=int((values < low).sum()),
        above=int((values > high).sum()),
        least_s=float(values.min()),
        most_s=float(values.max()),
    )


def _ticks(low: float, high: float) -> tuple[Tick, ...]:
    """A handful of round times, the unit at the last; all their digits, since two may differ in the fourth."""
    size, unit = time_unit(high)
    steps = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low / size, high / size)
    inside = [step for step in steps if low <= step * size <= high]
    return tuple(
        Tick(
            round(100 * (step * size - low) / (high - low), 1),
            f"{step:.6g}" + (f" {unit}" if step == inside[-1] else ""),
        )
        for step in inside
    )
