"""What a run leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, field

from dsabench.autotune.resume import Finished
from dsabench.bench.journal import Journal
from dsabench.bench.records import Ceilings, WorkloadId, WorkloadRecord
from dsabench.kernels.workload import Workload


@dataclass
class Outcome:
    """The state of the journal, and what was planned and not done (`skipped`, by name and with the reason)."""

    finished: Finished
    ceilings: Ceilings | None = None
    workloads: dict[str, WorkloadRecord] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    budget_ended: bool = False

    def out_of_time(self, what: str) -> None:
        self.budget_ended = True
        self.skipped.append(f"{what}: the budget ended")


def outcome_of(journal: Journal | None) -> Outcome:
    """What a journal that is gone on with holds; nothing without one."""
    if journal is None:
        return Outcome(Finished())
    return Outcome(
        finished=Finished(journal.trials, journal.comparisons),
        ceilings=journal.ceilings[-1] if journal.ceilings else None,
        workloads=dict(journal.workloads),
    )


def workload_id(workload: Workload) -> WorkloadId:
    return WorkloadId(
        key=workload.key,
        op=workload.op,
        axes=workload.axis_values,
        distribution=workload.distribution,
        seed=workload.seed,
    )
