"""The table of trials: all of them, or the most telling where there are too many to send around."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from dsabench.bench.records import Status
from dsabench.reports.failures import SEVERITY, shorten
from dsabench.reports.island import Column, columns_csv, island
from dsabench.reports.quantities import format_config
from dsabench.reports.sections import Section, context_of, other_axes
from dsabench.reports.spreadsheet import data_url
from dsabench.reports.winners import roofline_fraction

LONGEST_REASON = 240
"""characters: the table of what did not pass shows more of it, the journal all"""
LARGEST_CSV = 150_000
"""characters that stand in the page a second time, for readers whose browser runs no script"""


@dataclass(frozen=True)
class TrialTable:
    """`shown` of `total` trials, as data for the page's script; `csv`: the same as a link, empty where it would be large."""

    shown: int
    total: int
    data: Markup
    csv: str


def chosen_trials(section: Section, most: int) -> np.ndarray:
    """Places in `section.trials`, int [min(most, trials)], in the order made. Where there are more than `most`, every kind has
    its turn: the fastest trial of each implementation on each workload and the first of each status that it ended in, worst
    status first; then the second of each; and so on."""
    frame = section.frame
    if len(frame) <= most:
        return np.arange(len(frame))
    ranks = {Status.PASSED.value: 0, **{status.value: rank + 1 for rank, status in enumerate(SEVERITY)}}
    ordered = frame.assign(severity=frame["status"].map(ranks)).sort_values(
        ["effort", "median_s", "order"], ascending=[False, True, True], kind="stable", na_position="last"
    )
    ordered["turn"] = ordered.groupby(["status", "workload", "impl"], sort=False).cumcount()
    first = ordered.sort_values(["turn", "severity", "order"], kind="stable")["order"].to_numpy()[:most]
    return np.sort(first)


def trial_table(section: Section, most: int) -> TrialTable:
    trials = [section.trials[place] for place in chosen_trials(section, most)]
    times = [trial.timing for trial in trials]
    columns = [
        Column("trial", "trial", "count", [trial.number for trial in trials]),
        Column("op", "op", "text", [trial.op for trial in trials], filter=True),
        Column("impl", "implementation", "text", [trial.impl for trial in trials], filter=True),
        Column("context", "context", "size", [context_of(trial.workload) for trial in trials], filter=True),
        Column("axes", "other axes", "text", [other_axes(trial.workload) for trial in trials], hidden=True),
        Column("config", "config", "text", [format_config(trial.config) for trial in trials]),
        Column("default", "default", "text", ["default" if trial.is_default else "" for trial in trials], hidden=True),
        Column("status", "status", "status", [trial.status.value for trial in trials], filter=True),
        Column("median_s", "time", "seconds", [t and t.median_s for t in times], interval=("low_s", "high_s")),
        Column("low_s", "from", "seconds", [t and t.low_s for t in times], hidden=True),
        Column("high_s", "to", "seconds", [t and t.high_s for t in times], hidden=True),
        Column(
            "roofline_fraction",
            "of the roofline",
            "share",
            [
                roofline_fraction(section, trial.workload, t.median_s, trial.roofline_fraction) if t else None
                for trial, t in zip(trials, times, strict=True)
            ],
        ),
        Column("predicted_s", "predicted", "seconds", [trial.predicted_s for trial in trials]),
        Column("reason", "reason", "text", [shorten(trial.reason, LONGEST_REASON) for trial in trials]),
    ]
    if all(trial.predicted_s is None for trial in trials):
        columns = [column for column in columns if column.key != "predicted_s"]
    text = columns_csv(columns)
    csv = data_url(text) if len(text) <= LARGEST_CSV else ""
    return TrialTable(len(trials), len(section.trials), island(columns), csv)
