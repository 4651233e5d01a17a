"""What cold inputs cost the winners: their trials with inputs out of the cache and with inputs left in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dsabench.bench.records import Trial, WorkloadId
from dsabench.reports.quantities import Span
from dsabench.reports.sections import Section, config_key
from dsabench.reports.winners import WinnerRow


@dataclass(frozen=True)
class WarmRow:
    """One winner. Both times are of one trial, measured one after the other: their ratio has no interval."""

    workload: WorkloadId
    impl: str
    cold: Span
    warm: Span

    @property
    def ratio(self) -> float:
        return self.cold.value / self.warm.value


def warm_rows(section: Section, rows: Iterable[WinnerRow]) -> list[WarmRow]:
    """Of the winners' configs the latest trial that was timed both ways; those without one have no row."""
    latest: dict[tuple[str, str, str], Trial] = {}
    for trial in section.trials:
        if trial.timing is not None and trial.warm is not None:
            latest[trial.workload.key, trial.impl, config_key(trial.config)] = trial
    found = []
    for row in rows:
        if row.workload is None or row.time is None:
            continue
        both = latest.get((row.workload.key, row.impl, config_key(row.config)))
        if both is None or both.timing is None or both.warm is None:
            continue
        cold, warm = (Span(t.median_s, t.low_s, t.high_s) for t in (both.timing, both.warm))
        found.append(WarmRow(row.workload, row.impl, cold, warm))
    return found
