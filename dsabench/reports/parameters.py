"""What each tunable does to the time: the best that can still be reached with a tunable held at a value."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import pandas as pd

from dsabench.bench.records import Status, WorkloadId
from dsabench.reports.sections import Section, context_of

Value = bool | int | str

MOST_VALUES = 16
"""of one tunable: as many as a table on a page can hold"""


@dataclass(frozen=True)
class Setting:
    """One value of one tunable. `slowdown`: best time with it over the best time of all; None when nothing passed."""

    value: Value
    passed: int
    tried: int
    slowdown: float | None


@dataclass(frozen=True)
class Effect:
    tunable: str
    settings: tuple[Setting, ...]
    spread: float
    """worst over best slowdown of the settings that passed"""
    left_out: int = 0
    """values beyond the best `MOST_VALUES`"""


@dataclass(frozen=True)
class HeatMap:
    """Slowdown of the best config at each pair of values of the two tunables that matter most."""

    rows: Effect
    columns: Effect
    cells: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class ParameterStudy:
    op: str
    impl: str
    workload: WorkloadId
    configs: int
    effects: tuple[Effect, ...]
    heat: HeatMap | None


def _order(value: Value) -> tuple[int, float, str]:
    return (1, 0.0, value) if isinstance(value, str) else (0, float(value), "")


def _shown(times: dict[str, list[float | None]], kinds: dict[str, Value]) -> tuple[list[str], int]:
    """The values to show, in their order: those with the best times where there are too many. And how many are not shown."""

    def best(text: str) -> float:
        return min((t for t in times[text] if t is not None), default=math.inf)

    shown = sorted(times, key=best)[:MOST_VALUES]
    return sorted(shown, key=lambda text: _order(kinds[text])), len(times) - len(shown)


def _fastest(times: list[float | None], best: float) -> float | None:
    passed = [t for t in times if t is not None]
    return min(passed) / best if passed else None


def _study(op: str, impl: str, workload: WorkloadId, frame: pd.DataFrame) -> ParameterStudy | None:
    # One time a config: the one measured with the most effort.
    frame = frame.sort_values("effort", kind="stable").drop_duplicates("config", keep="last")
    measured: list[tuple[dict[str, Value], float | None]] = [
        (json.loads(config), float(seconds) if status == Status.PASSED.value and seconds == seconds else None)
        for config, status, seconds in zip(frame["config"], frame["status"], frame["median_s"], strict=True)
    ]
    best = min((t for _, t in measured if t is not None), default=None)
    if best is None:
        return None
    # True, 1 and "1" are three values, and as keys of a dict two of them would be one: they are told apart by their text.
    names = list(dict.fromkeys(name for config, _ in measured for name in config))
    effects = []
    for name in names:
        kinds: dict[str, Value] = {}
        by_text: dict[str, list[float | None]] = {}
        for config, seconds in measured:
            if name in config:
                text = json.dumps(config[name])
                kinds[text] = config[name]
                by_text.setdefault(text, []).append(seconds)
        shown, left_out = _shown(by_text, kinds)
        settings = tuple(
            Setting(
                kinds[text],
                sum(t is not None for t in by_text[text]),
                len(by_text[text]),
                _fastest(by_text[text], best),
            )
            for text in shown
        )
        slow = [s.slowdown for s in settings if s.slowdown is not None]
        if len(settings) > 1 and slow:
            effects.append(Effect(name, settings, max(slow) / min(slow), left_out))
    if not effects:
        return None
    effects.sort(key=lambda effect: -effect.spread)
    heat = None
    if len(effects) > 1:
        down, across = sorted(effects[:2], key=lambda effect: -len(effect.settings))
        heat = _heat(down, across, measured, best)
    return ParameterStudy(op, impl, workload, len(measured), tuple(effects), heat)


def _heat(down: Effect, across: Effect, measured: list[tuple[dict[str, Value], float | None]], best: float) -> HeatMap:
    pairs: dict[tuple[str, str], list[float | None]] = {}
    for config, seconds in measured:
        key = (json.dumps(config.get(down.tunable)), json.dumps(config.get(across.tunable)))
        pairs.setdefault(key, []).append(seconds)
    cells = tuple(
        tuple(_fastest(pairs.get((json.dumps(row.value), json.dumps(col.value)), []), best) for col in across.settings)
        for row in down.settings
    )
    return HeatMap(down, across, cells)


def parameter_studies(section: Section) -> list[ParameterStudy]:
    """One an implementation of an op: its workload with the most configs that passed, the longest context among equals."""
    studies = []
    for (op, impl), group in section.frame.groupby(["op", "impl"], sort=False):
        # What a constraint excludes says nothing of a tunable's effect, and would fill the maps with dashes.
        group = group[group["status"] != Status.PRUNED.value]
        passed = group[group["status"] == Status.PASSED.value]
        if passed.empty:
            continue
        counts = passed.groupby("workload")["config"].nunique()
        key = max(counts.index, key=lambda k: (int(counts[k]), context_of(section.workloads[k])))
        study = _study(str(op), str(impl), section.workloads[key], group[group["workload"] == key])
        if study is not None:
            studies.append(study)
    order = {op: index for index, op in enumerate(section.ops)}
    return sorted(studies, key=lambda s: (order[s.op], s.impl == "torch", s.impl))
