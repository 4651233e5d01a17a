"""Pipeline points as curves: one point a context, the sides and stages that were measured."""

from __future__ import annotations

from collections.abc import Sequence

from dsabench.bench.intervals import paired_ratio
from dsabench.bench.records import PipelinePoint, Ratio, SideRecord
from dsabench.bench.scaling.crossover import Crossover, Race, crossover
from dsabench.bench.scaling.growth import EXPECTED, Growth, growth
from dsabench.bench.scaling.prompt import PromptTime, prompt_times

Rounds = dict[int, Sequence[float]]


def by_context(points: Sequence[PipelinePoint]) -> list[PipelinePoint]:
    """In ascending order of context, the latest of each, wrong sides left out. The points are of one phase and the same axes."""
    latest = {point.context: point for point in points}
    return [_right(latest[context]) for context in sorted(latest)]


def _right(point: PipelinePoint) -> PipelinePoint:
    """A side whose output failed its check has no time that means anything: it becomes a gap."""
    wrong = {name: side.check.reason for name, side in _sides(point).items() if not side.check.passed}
    if not wrong:
        return point
    gaps = point.gaps | {name: f"its output is wrong: {reason}" for name, reason in wrong.items()}
    speedup = None if {"dense", "sparse"} & wrong.keys() else point.speedup
    return point.model_copy(update=dict.fromkeys(wrong) | {"gaps": gaps, "speedup": speedup})


def _sides(point: PipelinePoint) -> dict[str, SideRecord]:
    found = {"sparse": point.sparse, "dense": point.dense, "eager": point.eager}
    return {name: side for name, side in found.items() if side is not None}


def crossover_of(points: Sequence[PipelinePoint], seed: int) -> Crossover | None:
    """None when no point has both sides."""
    races = [
        Race(point.context, point.dense.time.rounds_s, point.sparse.time.rounds_s, point.noise)
        for point in by_context(points)
        if point.dense is not None and point.sparse is not None
    ]
    return crossover(races, seed) if races else None


def curves_of(points: Sequence[PipelinePoint]) -> dict[str, Rounds]:
    """Rounds by context of `dense`, `sparse` and each stage of sparse, in the order the stages run."""
    curves: dict[str, Rounds] = {"dense": {}, "sparse": {}}
    for point in by_context(points):
        if point.dense is not None:
            curves["dense"][point.context] = point.dense.time.rounds_s
        if point.sparse is not None:
            curves["sparse"][point.context] = point.sparse.time.rounds_s
            for stage in point.sparse.stages:
                curves.setdefault(stage.name, {})[point.context] = stage.time.rounds_s
    return {name: rounds for name, rounds in curves.items() if rounds}


def growths_of(points: Sequence[PipelinePoint], seed: int) -> list[Growth]:
    """Of each curve, per token. A call's tokens are the same at every context, so its time grows as a token's."""
    return [growth(name, rounds, seed, EXPECTED.get(name)) for name, rounds in curves_of(points).items()]


def token_seconds(points: Sequence[PipelinePoint]) -> dict[str, dict[int, float]]:
    """Seconds of attention for one token in one layer, by side (`dense`, `sparse`) and context."""
    seconds: dict[str, dict[int, float]] = {"dense": {}, "sparse": {}}
    for point in by_context(points):
        for name, side in (("dense", point.dense), ("sparse", point.sparse)):
            if side is not None:
                seconds[name][point.context] = side.time.median_s / point.queries
    return {name: each for name, each in seconds.items() if each}


def whole_prompts(points: Sequence[PipelinePoint]) -> dict[str, dict[int, PromptTime]]:
    """By side and context: a layer's attention for a whole prompt of that length, from chunks that end at each context."""
    return {name: prompt_times(seconds) for name, seconds in token_seconds(points).items()}


def prompt_growths(points: Sequence[PipelinePoint], seed: int) -> list[Growth]:
    """Of the time of a whole prompt, by side and stage. Round i of a prompt is made of round i at each position."""
    growths = []
    for name, rounds in curves_of(points).items():
        count = min(len(each) for each in rounds.values())
        prompts: dict[int, list[float]] = {context: [] for context in rounds}
        for i in range(count):
            for context, time in prompt_times({length: each[i] for length, each in rounds.items()}).items():
                prompts[context].append(time.seconds)
        expected = EXPECTED.get(name)
        growths.append(growth(name, dict(prompts), seed, None if expected is None else expected + 1.0))
    return growths


def over_eager(point: PipelinePoint, seed: int) -> Ratio | None:
    """Time of dense attention in eager torch / time of our dense; None when either is missing."""
    if point.dense is None or point.eager is None:
        return None
    eager = point.eager.time.rounds_s
    # Eager may sit the later rounds out: its rounds are the first of dense's.
    found = paired_ratio(eager, point.dense.time.rounds_s[: len(eager)], seed)
    return Ratio(ratio=found.ratio, low=found.low, high=found.high)
