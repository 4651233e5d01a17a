"""The confirmation of a workload: the best few configs re-timed interleaved, and the comparison journaled."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from dsabench.autotune.confirm import Entry, comparison, contenders, with_duplicate
from dsabench.autotune.measuring import OutOfTime, Run
from dsabench.autotune.outcome import workload_id
from dsabench.autotune.plan import Plan
from dsabench.bench.jobs import CompareJob, CompareOutcome
from dsabench.bench.records import Comparison
from dsabench.bench.worker import JobFailed, WorkerDied, WorkerTimeout
from dsabench.kernels.implementation import config_key
from dsabench.kernels.workload import Workload

OVERHEAD_CALLS = 3
"""Warm-up and checks of each entry, in calls."""
LEAST_ROUNDS = 3
"""A median of two says nothing."""


class Confirmer:
    def __init__(self, run: Run, plan: Plan) -> None:
        self.run = run
        self.plan = plan

    def _entries(self, workload: Workload) -> list[Entry]:
        pairs = self.plan.of(workload)
        names = {
            p.implementation.name: self.run.outcome.finished.of_pair(workload.key, p.implementation.name) for p in pairs
        }
        return contenders(names, [p.implementation.name for p in pairs if p.search], self.run.effort)

    def _overhead_s(self, entries: list[Entry]) -> float:
        return 0.2 + sum(e.median_s for e in entries) * OVERHEAD_CALLS

    def _least_rounds(self, entries: list[Entry]) -> int:
        """Fewer rounds where calls are long: an interval from three rounds is wide, and says so."""
        fit = int(self.run.effort.confirm_s / self._round_s(entries))
        return max(LEAST_ROUNDS, min(self.run.effort.least_rounds, fit))

    def _round_s(self, entries: list[Entry]) -> float:
        return sum(max(self.run.effort.round_s, e.median_s) * 1.1 for e in entries)

    def estimate(self, workload: Workload) -> float:
        """Seconds to keep for a workload's confirmation: the least rounds of as many entries as there will be, as slow as
        the defaults are."""
        entries = self._entries(workload)
        guess = [e for e in entries for _ in range(self.run.effort.contenders)]
        if not guess:
            return 0.0
        return self._overhead_s(guess) + self._least_rounds(guess) * self._round_s(guess)

    def confirm(self, workload: Workload) -> Comparison | None:
        """The journaled comparison; None when nothing that was searched passed, or all of it dropped out. Raises OutOfTime
        when the budget does not reach for the least rounds."""
        searched = [p.implementation.name for p in self.plan.of(workload) if p.search]
        entries = self._entries(workload)
        while any(entry.impl in searched for entry in entries):
            found = self._compare(workload, entries)
            if isinstance(found, Comparison):
                self.run.write(found)
                self.run.outcome.finished.add_comparison(found)
                self.run.progress.confirmed(found)
                return found
            entries = found
        return None

    def _compare(self, workload: Workload, entries: list[Entry]) -> Comparison | list[Entry]:
        """One attempt: the comparison, or the entries that are left to try again with after others dropped out."""
        started, begin = datetime.now(UTC), time.monotonic()
        doubled = with_duplicate(entries)
        twin = entries.index(doubled[-1])
        seed = self.run.header.seed
        affordable = (self.run.time_left - self._overhead_s(doubled)) / self._round_s(doubled)
        rounds = int(min(self.run.effort.rounds, affordable))
        if rounds < LEAST_ROUNDS:
            raise OutOfTime
        self.run.progress.current(workload, "all", f"confirming {len(entries)} configs")
        job = CompareJob(
            workload=workload,
            entries=tuple((e.impl, e.config) for e in doubled),
            rounds=rounds,
            least_rounds=min(rounds, self._least_rounds(doubled)),
            round_s=self.run.effort.round_s,
            time_s=min(self.run.effort.confirm_s, self.run.effort.rounds * self.run.effort.round_s * len(doubled) * 3),
            seed=seed,
        )
        limit = min(self.run.trial_timeout_s * len(doubled), self.run.time_left)
        try:
            result = self.run.worker.do(job, limit)
        except (WorkerDied, WorkerTimeout) as error:
            if isinstance(error, WorkerTimeout) and self.run.time_left <= 0:
                raise OutOfTime from error
            entry = error.stage.entry if error.stage else -1
            culprit = twin if entry == len(entries) else entry
            return self._without(workload, entries, {culprit: error.reason})
        except JobFailed as error:
            self.run.skip(f"{workload.op} {workload.label()}, confirmation", error.failure.reason)
            return []
        assert isinstance(result, CompareOutcome)
        if result.lost:
            self.run.worker.kill()
        failed = {(twin if i == len(entries) else i): reason for i, reason in result.failed.items()}
        if failed:
            return self._without(workload, entries, failed)
        return comparison(
            workload=workload_id(workload),
            entries=entries,
            rounds_s=result.rounds_s[:-1],
            duplicate_s=result.rounds_s[-1],
            duplicate_of=twin,
            bound_s=self.run.outcome.workloads[workload.key].roofline.bound_s,
            seed=seed,
            started=started.isoformat(timespec="milliseconds"),
            duration_s=time.monotonic() - begin,
        )

    def _without(self, workload: Workload, entries: list[Entry], failed: dict[int, str]) -> list[Entry]:
        for index, reason in failed.items():
            if index < 0:
                self.run.skip(f"{workload.op} {workload.label()}, confirmation", reason)
                return []
            entry = entries[index]
            self.run.skip(
                f"{workload.op}/{entry.impl} {workload.label()} {config_key(entry.config)}",
                f"in confirmation: {reason}",
            )
        return [e for i, e in enumerate(entries) if i not in failed]
