"""Configs of one workload re-timed interleaved: how many rounds fit, the job, and who drops out of it."""

from __future__ import annotations

import time

from dsabench.autotune.confirm import Entry, comparison, with_duplicate
from dsabench.autotune.measuring import OutOfTime, Run
from dsabench.autotune.outcome import workload_id
from dsabench.autotune.run_records import now
from dsabench.bench.jobs import CompareJob, CompareOutcome
from dsabench.bench.records import Comparison
from dsabench.bench.verdicts import LEAST_ROUNDS
from dsabench.bench.worker import JobFailed, WorkerDied, WorkerTimeout
from dsabench.kernels.implementation import config_key
from dsabench.kernels.workload import Workload

OVERHEAD_CALLS = 3
"""Warm-up and checks of each entry, in calls."""


class Interleaver:
    """Nothing is journaled here: that is for who knows what the comparison is for."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def estimate(self, entries: list[Entry]) -> float:
        """Seconds for the least rounds of these entries."""
        return self._overhead_s(entries) + self._least_rounds(entries) * self._round_s(entries)

    def _overhead_s(self, entries: list[Entry]) -> float:
        return 0.2 + sum(e.median_s for e in entries) * OVERHEAD_CALLS

    def _least_rounds(self, entries: list[Entry]) -> int:
        """Fewer rounds where calls are long: an interval from three rounds is wide, and says so."""
        fit = int(self.run.effort.confirm_s / self._round_s(entries))
        return max(LEAST_ROUNDS, min(self.run.effort.least_rounds, fit))

    def _round_s(self, entries: list[Entry]) -> float:
        return sum(max(self.run.effort.round_s, e.median_s) * 1.1 for e in entries)

    def compare(self, workload: Workload, entries: list[Entry]) -> Comparison | list[Entry]:
        """One attempt: the comparison, or the entries that are left to try again with after others dropped out; what dropped out
        is noted as skipped. Raises OutOfTime when the budget does not reach for the least rounds."""
        started, begin = now(), time.monotonic()
        doubled = with_duplicate(entries)
        twin = entries.index(doubled[-1])
        seed = self.run.header.seed
        affordable = (self.run.time_left - self._overhead_s(doubled)) / self._round_s(doubled)
        rounds = int(min(self.run.effort.rounds, affordable))
        if rounds < LEAST_ROUNDS:
            raise OutOfTime
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
            self.run.skip(f"{workload.op} {workload.label()}, interleaved rounds", error.failure.reason)
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
            started=started,
            duration_s=time.monotonic() - begin,
        )

    def _without(self, workload: Workload, entries: list[Entry], failed: dict[int, str]) -> list[Entry]:
        for index, reason in failed.items():
            if index < 0:
                self.run.skip(f"{workload.op} {workload.label()}, interleaved rounds", reason)
                return []
            entry = entries[index]
            self.run.skip(
                f"{workload.op}/{entry.impl} {workload.label()} {config_key(entry.config)}",
                f"in the interleaved rounds: {reason}",
            )
        return [e for i, e in enumerate(entries) if i not in failed]
