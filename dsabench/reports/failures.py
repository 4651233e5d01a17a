"""Every trial that did not pass, grouped by status, op, implementation and reason."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dsabench.bench.records import Status, Trial, WorkloadId
from dsabench.reports.quantities import format_config
from dsabench.reports.sections import Section, context_label

# What a reader must look at first: wrong numbers and broken accounting before crashes, deliberate pruning last.
SEVERITY = (
    Status.IMPOSSIBLE,
    Status.INCORRECT,
    Status.CRASHED,
    Status.TIMEOUT,
    Status.OUT_OF_MEMORY,
    Status.LAUNCH_ERROR,
    Status.COMPILE_ERROR,
    Status.PRUNED,
)
_NUMBER = re.compile(r"[-+]?\d[\d.]*(?:e[-+]?\d+)?", re.IGNORECASE)
LONGEST_REASON = 600


@dataclass(frozen=True)
class FailureGroup:
    """Trials that failed alike; the reason and the config are the first one's."""

    status: Status
    op: str
    impl: str
    reason: str
    count: int
    workload: WorkloadId
    example_config: str
    example_context: str
    example_number: int


def shorten(text: str, longest: int = LONGEST_REASON) -> str:
    return (
        text if len(text) <= longest else f"{text[:longest]} … ({len(text) - longest} more characters in the journal)"
    )


def failure_groups(section: Section) -> list[FailureGroup]:
    """Worst status first, then by count. Reasons that differ only in their numbers (row 17, row 93) are one reason."""
    grouped: dict[tuple[Status, str, str, str], list[Trial]] = {}
    for trial in section.trials:
        if trial.status is Status.PASSED:
            continue
        key = (trial.status, trial.op, trial.impl, _NUMBER.sub("#", trial.reason))
        grouped.setdefault(key, []).append(trial)
    groups = [
        FailureGroup(
            status=status,
            op=op,
            impl=impl,
            reason=shorten(trials[0].reason),
            count=len(trials),
            workload=trials[0].workload,
            example_config=format_config(trials[0].config),
            example_context=context_label(trials[0].workload),
            example_number=trials[0].number,
        )
        for (status, op, impl, _), trials in grouped.items()
    ]
    return sorted(groups, key=lambda g: (SEVERITY.index(g.status), -g.count, g.op, g.impl))


def top_reasons(groups: list[FailureGroup], statuses: set[Status], shown: int = 2) -> list[tuple[int, str]]:
    """The most frequent reasons over all ops and implementations, as (count, reason)."""
    totals: dict[str, tuple[int, str]] = {}
    for group in groups:
        if group.status in statuses:
            key = _NUMBER.sub("#", group.reason)
            count, reason = totals.get(key, (0, group.reason))
            totals[key] = (count + group.count, reason)
    return sorted(totals.values(), key=lambda item: -item[0])[:shown]
