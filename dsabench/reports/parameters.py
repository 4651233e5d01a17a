"""What each tunable does to the time: the best that can still be reached with a tunable held at a value."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pandas as pd

from dsabench.bench.records import Status, WorkloadId
from dsabench.reports.sections import Section, context_of

Value = bool | int | str


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


def _slowdown(times: pd.Series, best: float) -> float | None:
    fastest = times.min()
    return None if pd.isna(fastest) else float(fastest) / best


def _study(section: Section, op: str, impl: str, workload: WorkloadId, frame: pd.DataFrame) -> ParameterStudy | None:
    # One time a config: the one measured with the most effort.
    frame = frame.sort_values("effort", kind="stable").drop_duplicates("config", keep="last")
    times = frame["median_s"].where(frame["status"] == Status.PASSED.value)
    best = times.min()
    if pd.isna(best):
        return None
    configs = [json.loads(config) for config in frame["config"]]
    names = list(dict.fromkeys(name for config in configs for name in config))
    # As strings: True, 1 and "1" are three values, and only text tells them apart in a column.
    columns = {name: pd.Series([json.dumps(c.get(name)) for c in configs], index=frame.index) for name in names}
    effects = []
    for name in names:
        values = sorted((json.loads(text) for text in columns[name].unique() if text != "null"), key=_order)
        settings = []
        for value in values:
            here = times[columns[name] == json.dumps(value)]
            settings.append(Setting(value, int(here.notna().sum()), len(here), _slowdown(here, best)))
        slow = [s.slowdown for s in settings if s.slowdown is not None]
        if len(settings) > 1 and slow:
            effects.append(Effect(name, tuple(settings), max(slow) / min(slow)))
    if not effects:
        return None
    effects.sort(key=lambda effect: -effect.spread)
    heat = None
    if len(effects) > 1:
        a, b = sorted(effects[:2], key=lambda effect: -len(effect.settings))
        cells = [
            tuple(
                _slowdown(
                    times[
                        (columns[a.tunable] == json.dumps(row.value)) & (columns[b.tunable] == json.dumps(col.value))
                    ],
                    best,
                )
                for col in b.settings
            )
            for row in a.settings
        ]
        heat = HeatMap(a, b, tuple(cells))
    return ParameterStudy(op, impl, workload, len(configs), tuple(effects), heat)


def parameter_studies(section: Section) -> list[ParameterStudy]:
    """One an implementation of an op: its workload with the most configs that passed, the longest context among equals."""
    studies = []
    for (op, impl), group in section.frame.groupby(["op", "impl"], sort=False):
        passed = group[group["status"] == Status.PASSED.value]
        if passed.empty:
            continue
        counts = passed.groupby("workload")["config"].nunique()
        key = max(counts.index, key=lambda k: (int(counts[k]), context_of(section.workloads[k])))
        study = _study(section, str(op), str(impl), section.workloads[key], group[group["workload"] == key])
        if study is not None:
            studies.append(study)
    order = {op: index for index, op in enumerate(section.ops)}
    return sorted(studies, key=lambda s: (order[s.op], s.impl == "torch", s.impl))
