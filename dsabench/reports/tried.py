"""The configs that an implementation was tried with on a workload, as settings of its tunables: what maps and effects are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dsabench.bench.records import Status, Trial, WorkloadId
from dsabench.reports.sections import Section, context_of

Value = bool | int | str
ABSENT = -1
"""code of a config that lacks the tunable"""
_NO_VALUE = (type(None), None)


@dataclass(frozen=True)
class Tried:
    """One row a config: as it was measured with the most effort, and last.

    values   of each tunable, in the order a reader expects
    codes    by tunable: int array [rows], index into its values, ABSENT where the config has none
    seconds  float array [rows], NaN where the config did not pass
    status   object array [rows] of Status values
    default  the row of the default config
    """

    op: str
    impl: str
    workload: WorkloadId
    values: dict[str, tuple[Value, ...]]
    codes: dict[str, np.ndarray]
    seconds: np.ndarray
    status: np.ndarray
    default: int | None

    @property
    def passed(self) -> np.ndarray:
        """bool array [rows]"""
        return np.isfinite(self.seconds)


def tried_by_impl(section: Section) -> dict[tuple[str, str], list[Tried]]:
    """By (op, implementation) in the report's order, `torch` last; of each the workload with the most configs that passed first, the
    longest context among equals. Workloads of which nothing passed are left out."""
    frame = section.frame.sort_values("effort", kind="stable").drop_duplicates(
        ["workload", "impl", "config"], keep="last"
    )
    found: dict[tuple[str, str], list[Tried]] = {}
    for (op, impl, key), group in frame.groupby(["op", "impl", "workload"], sort=False):
        tried = _tried(str(op), str(impl), section.workloads[str(key)], group, section.trials)
        if tried.passed.any():
            found.setdefault((tried.op, tried.impl), []).append(tried)
    for group in found.values():
        group.sort(key=lambda t: (-int(t.passed.sum()), -context_of(t.workload)))
    order = {op: index for index, op in enumerate(section.ops)}
    return dict(sorted(found.items(), key=lambda item: (order[item[0][0]], item[0][1] == "torch", item[0][1])))


def _tried(op: str, impl: str, workload: WorkloadId, frame: pd.DataFrame, trials: Sequence[Trial]) -> Tried:
    configs = [trials[order].config for order in frame["order"]]
    values: dict[str, tuple[Value, ...]] = {}
    codes: dict[str, np.ndarray] = {}
    for name in sorted(set().union(*configs)):
        # True, 1 and "1" are three values, and as keys of a dict two of them would be one.
        kinds = [(type(value), value) for value in (config.get(name) for config in configs)]
        ordered = sorted((kind for kind in set(kinds) if kind != _NO_VALUE), key=lambda kind: _order(kind[1]))
        index = {kind: code for code, kind in enumerate(ordered)} | {_NO_VALUE: ABSENT}
        values[name] = tuple(value for _, value in ordered)
        codes[name] = np.array([index[kind] for kind in kinds])
    passed = (frame["status"] == Status.PASSED.value).to_numpy()
    defaults = np.flatnonzero(frame["is_default"].to_numpy(bool))
    return Tried(
        op=op,
        impl=impl,
        workload=workload,
        values=values,
        codes=codes,
        seconds=np.where(passed, frame["median_s"].to_numpy(float), np.nan),
        status=frame["status"].to_numpy(object),
        default=int(defaults[-1]) if len(defaults) else None,
    )


def _order(value: Value) -> tuple[int, float, str]:
    """Numbers by size and before words; of True and 1 either may come first, but always the same."""
    return (2, 0.0, value) if isinstance(value, str) else (int(isinstance(value, bool)), float(value), "")
