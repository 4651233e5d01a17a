"""The confirmation of a workload: the best few configs re-timed interleaved, and the comparison journaled."""

from __future__ import annotations

from dsabench.autotune.confirm import Entry, contenders
from dsabench.autotune.interleaved import Interleaver
from dsabench.autotune.measuring import Run
from dsabench.autotune.plan import Plan
from dsabench.bench.records import Comparison
from dsabench.kernels.workload import Workload


class Confirmer:
    def __init__(self, run: Run, plan: Plan) -> None:
        self.run = run
        self.plan = plan
        self._interleaver = Interleaver(run)

    def _entries(self, workload: Workload) -> list[Entry]:
        pairs = self.plan.of(workload)
        names = {
            p.implementation.name: self.run.outcome.finished.of_pair(workload.key, p.implementation.name) for p in pairs
        }
        return contenders(names, [p.implementation.name for p in pairs if p.search], self.run.effort)

    def estimate(self, workload: Workload) -> float:
        """Seconds to keep for a workload's confirmation: the least rounds of as many entries as there will be, as slow as
        the defaults are."""
        guess = [e for e in self._entries(workload) for _ in range(self.run.effort.contenders)]
        return self._interleaver.estimate(guess) if guess else 0.0

    def confirm(self, workload: Workload) -> Comparison | None:
        """The journaled comparison; None when nothing that was searched passed, or all of it dropped out. Raises OutOfTime
        when the budget does not reach for the least rounds."""
        searched = [p.implementation.name for p in self.plan.of(workload) if p.search]
        entries = self._entries(workload)
        while any(entry.impl in searched for entry in entries):
            self.run.progress.current(workload, "all", f"confirming {len(entries)} configs")
            found = self._interleaver.compare(workload, entries)
            if isinstance(found, Comparison):
                self.run.write(found)
                self.run.outcome.finished.add_comparison(found)
                self.run.progress.confirmed(found)
                return found
            entries = found
        return None
