"""Journals sorted into sections: all runs on one device, and what is known of each of their workloads."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dsabench.bench.journal import Journal
from dsabench.bench.records import (
    Ceilings,
    Comparison,
    DeviceRecord,
    End,
    Header,
    LossPoint,
    PipelinePoint,
    Status,
    Trial,
    WorkloadId,
    WorkloadRecord,
)
from dsabench.kernels.sizes import format_size

if TYPE_CHECKING:
    import pandas as pd

FULL_EFFORT = 1 << 30
"""rank of rung 0 in the column `effort`; the cheaper rungs rank by their own number"""

COMPARE_DENSE = "compare-dense"
"""The strategy that the header of a run of `compare --dense` names."""

_COLUMNS = (
    "order",
    "op",
    "impl",
    "workload",
    "config",
    "is_default",
    "effort",
    "status",
    "median_s",
    "low_s",
    "high_s",
)


@dataclass(frozen=True)
class Run:
    """One run: its header and how it ended (None: killed, or still running when the report was made)."""

    path: Path
    header: Header
    end: End | None

    @property
    def against_dense(self) -> bool:
        """Of `compare --dense`: without trials, and its kernels are not there to be tuned."""
        return self.header.strategy == COMPARE_DENSE


@dataclass
class Section:
    """Everything measured on one device. `comparisons` and `records` hold the latest of each workload's."""

    device: DeviceRecord
    journals: list[Journal]
    runs: list[Run]
    ceilings: Ceilings | None = None
    workloads: dict[str, WorkloadId] = field(default_factory=dict)
    records: dict[str, WorkloadRecord] = field(default_factory=dict)
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    superseded: int = 0
    """comparisons of a workload that a later run measured again"""
    trials: list[Trial] = field(default_factory=list)
    frame: pd.DataFrame = field(default_factory=lambda: _frame([]))
    """a row a trial, in the order of `trials`"""
    pipelines: list[PipelinePoint] = field(default_factory=list)
    """of the pipeline against dense attention, in the order measured; later ones of a context count"""
    losses: list[LossPoint] = field(default_factory=list)

    @property
    def tuning_runs(self) -> list[Run]:
        """Those that try and compare implementations."""
        return [run for run in self.runs if not run.against_dense]

    @property
    def dense_runs(self) -> list[Run]:
        return [run for run in self.runs if run.against_dense]

    @property
    def ops(self) -> list[str]:
        """In the order first met in the journals; those of the header that no trial reached come last."""
        names = [workload.op for workload in self.workloads.values()]
        names += [source.split("/")[0] for run in self.tuning_runs for source in run.header.sources]
        return list(dict.fromkeys(names))

    def implementations(self, op: str) -> list[str]:
        """Those that ran or were announced in a header, `torch` last: it is what the others are measured against."""
        return sorted(self._met.get(op, ()), key=lambda name: (name == "torch", name))

    @cached_property
    def _met(self) -> dict[str, set[str]]:
        """Implementations by op."""
        announced = [source.split("/", 1) for run in self.tuning_runs for source in run.header.sources if "/" in source]
        ran = self.frame[["op", "impl"]].drop_duplicates().itertuples(index=False, name=None)
        compared = [(m.workload.op, c.impl) for m in self.comparisons.values() for c in m.candidates]
        met: dict[str, set[str]] = {}
        for op, impl in (*announced, *ran, *compared):
            met.setdefault(op, set()).add(impl)
        return met

    @cached_property
    def groups(self) -> dict[tuple[str, str], pd.DataFrame]:
        """The rows of `frame` by workload key and implementation."""
        grouped = self.frame.groupby(["workload", "impl"], sort=False)
        return {(str(key[0]), str(key[1])): rows for key, rows in grouped}

    def workloads_of(self, op: str) -> list[WorkloadId]:
        """Sorted by everything but the context, then by the context."""
        mine = [workload for workload in self.workloads.values() if workload.op == op]
        return sorted(mine, key=lambda w: (other_axes(w), w.seed, w.axes.get(CONTEXT_AXIS, 0)))

    def count_by_status(self) -> dict[str, int]:
        counts = self.frame["status"].value_counts()
        return {status.value: int(counts.get(status.value, 0)) for status in Status}


CONTEXT_AXIS = "s_kv"


def context_of(workload: WorkloadId) -> int:
    return workload.axes.get(CONTEXT_AXIS, 0)


def context_label(workload: WorkloadId) -> str:
    return format_size(context_of(workload))


def other_axes(workload: WorkloadId) -> str:
    """`s_q=1 h_q=128 topk=2k`: what besides the context names the workload, for people."""
    words = [f"{name}={format_size(value)}" for name, value in workload.axes.items() if name != CONTEXT_AXIS]
    if workload.distribution != "normal":
        words.append(f"({workload.distribution})")
    return " ".join(words)


# json.dumps makes an encoder a call: under cProfile half of its time on 100,000 configs.
_sorted_json = json.JSONEncoder(sort_keys=True).encode


def config_key(config: dict[str, bool | int | str]) -> str:
    return _sorted_json(config)


def instant(text: str) -> datetime | None:
    """An ISO 8601 time, taken as UTC where it names no zone; None for anything else."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _runs(journal: Journal) -> list[Run]:
    """Headers paired with their ends. A killed run leaves none, so the end of a run is the one that falls between its
    start and the next run's."""
    starts = [instant(header.started) for header in journal.headers]
    ends = [(instant(end.ended), end) for end in journal.ends]
    runs = []
    for index, (header, start) in enumerate(zip(journal.headers, starts, strict=True)):
        following = starts[index + 1] if index + 1 < len(starts) else None
        mine = [
            end
            for when, end in ends
            if when is not None and start is not None and start <= when and (following is None or when <= following)
        ]
        runs.append(Run(journal.path, header, mine[-1] if mine else None))
    return runs


def _frame(trials: list[Trial]) -> pd.DataFrame:
    # Here alone: a gate's figures need names of this module and no table, and importing pandas takes half a second of its 5.
    import pandas as pd

    timings = [trial.timing for trial in trials]
    texts = {
        "op": [trial.op for trial in trials],
        "impl": [trial.impl for trial in trials],
        "workload": [trial.workload.key for trial in trials],
        "config": [config_key(trial.config) for trial in trials],
        "status": [trial.status.value for trial in trials],
    }
    # Texts as objects: comparing a column of pandas' own type took 1.4 ms a time under cProfile, and there were 4,500 of them.
    columns = {name: pd.Series(values, dtype=object) for name, values in texts.items()}
    columns["order"] = pd.Series(range(len(trials)), dtype="int64")
    columns["is_default"] = pd.Series([trial.is_default for trial in trials], dtype=bool)
    columns["effort"] = pd.Series([trial.rung or FULL_EFFORT for trial in trials], dtype="int64")
    for name in ("median_s", "low_s", "high_s"):
        columns[name] = pd.Series([getattr(t, name) if t else math.nan for t in timings], dtype=float)
    return pd.DataFrame({name: columns[name] for name in _COLUMNS})


def _section(journals: list[Journal]) -> Section:
    journals = sorted(journals, key=lambda journal: journal.header.started)
    section = Section(
        device=journals[-1].header.device,
        journals=journals,
        runs=[run for journal in journals for run in _runs(journal)],
    )
    for journal in journals:
        if journal.ceilings:
            section.ceilings = journal.ceilings[-1]
        section.trials += journal.trials
        section.pipelines += journal.pipelines
        section.losses += journal.losses
        compared: dict[str, Comparison] = {}
        for comparison in journal.comparisons:
            section.superseded += comparison.workload.key in compared or comparison.workload.key in section.comparisons
            compared[comparison.workload.key] = comparison
        for key, record in journal.workloads.items():
            section.workloads[key] = record.workload
            # A comparison's fractions hold for the roofline of its own journal only.
            if key in compared or key not in section.comparisons:
                section.records[key] = record
        section.comparisons |= compared
    for trial in section.trials:
        section.workloads.setdefault(trial.workload.key, trial.workload)
    for key, comparison in section.comparisons.items():
        section.workloads.setdefault(key, comparison.workload)
    section.frame = _frame(section.trials)
    return section


def sections_of(journals: list[Journal]) -> list[Section]:
    """One section a device, in the order the devices first appear. The same file given twice counts once."""
    by_file = {journal.path.resolve(): journal for journal in journals}
    by_device: dict[str, list[Journal]] = {}
    for journal in by_file.values():
        by_device.setdefault(journal.header.device.key, []).append(journal)
    return [_section(group) for group in by_device.values()]
