"""The tuning loop: ceilings, every default, then search and confirmation workload by workload, within a budget.

measure the ceilings
for each workload, breadth first over the ops: build it, measure each implementation's default
for each workload: search each implementation for its share of what time is left, re-time the best interleaved
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dsabench.autotune.budget import Budget
from dsabench.autotune.confirm import Entry, comparison, contenders, with_duplicate
from dsabench.autotune.plan import Pair, Plan
from dsabench.autotune.progress import Progress
from dsabench.autotune.resume import Finished
from dsabench.autotune.search import Config, Rung, Search, StrategyName, TrialCost
from dsabench.bench.effort import Effort
from dsabench.bench.jobs import (
    CeilingsJob,
    CompareJob,
    CompareOutcome,
    Prepared,
    PrepareJob,
    TrialJob,
    TrialOutcome,
)
from dsabench.bench.journal import JournalWriter
from dsabench.bench.records import (
    AnyRecord,
    Ceilings,
    Comparison,
    Header,
    Status,
    Trial,
    WorkloadId,
    WorkloadRecord,
)
from dsabench.bench.roofline import impossible, roofline
from dsabench.bench.worker import SETUP_STAGES, JobFailed, Worker, WorkerDied, WorkerTimeout
from dsabench.kernels.implementation import config_key
from dsabench.kernels.workload import Workload

SETUP_TIMEOUT_S = 300.0
LEAST_TRIAL_S = 0.5
"""No trial is begun with less time than this left: it would only be cut off."""
_COMPARE_OVERHEAD_CALLS = 4  # warm-up and checks of each entry, in calls


class OutOfTime(Exception):  # noqa: N818 - a turn of the loop
    """The budget ended before this could be measured."""


@dataclass
class Outcome:
    """What a run leaves: the state of the journal and what was planned and not done."""

    finished: Finished
    ceilings: Ceilings | None = None
    workloads: dict[str, WorkloadRecord] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)
    budget_ended: bool = False


def workload_id(workload: Workload) -> WorkloadId:
    return WorkloadId(
        key=workload.key,
        op=workload.op,
        axes=workload.axis_values,
        distribution=workload.distribution,
        seed=workload.seed,
    )


class Tuner:
    def __init__(
        self,
        plan: Plan,
        header: Header,
        effort: Effort,
        strategy: StrategyName,
        budget: Budget,
        reserve_s: float,
        trial_timeout_s: float,
        journal: JournalWriter,
        worker: Worker,
        progress: Progress,
        outcome: Outcome,
        on_comparison: Callable[[Comparison], None],
    ) -> None:
        """`reserve_s` of the budget is left untouched for what comes after (the report). `outcome` holds what an earlier run
        finished, and is filled as this one goes, so that it is there after an interruption too."""
        self.plan = plan
        self.header = header
        self.effort = effort
        self.strategy = strategy
        self.budget = budget
        self.reserve_s = reserve_s
        self.trial_timeout_s = trial_timeout_s
        self.journal = journal
        self.worker = worker
        self.progress = progress
        self.outcome = outcome
        self.on_comparison = on_comparison
        self._costs: dict[str, list[float]] = {}
        self._stages: dict[tuple[str, str], dict[str, float]] = {}
        self._number = max((t.number for t in outcome.finished.trials), default=0)

    @property
    def time_left(self) -> float:
        return self.budget.left - self.reserve_s

    def run(self) -> None:
        """Fills `outcome`. Raises JournalError when the journal cannot be written, WorkerStartError when no worker starts."""
        self.outcome.skipped += self.plan.unavailable
        if self.outcome.ceilings is None:
            self.progress.phase("measuring the machine's ceilings")
            self.outcome.ceilings = self._ceilings()
            self._write(self.outcome.ceilings)
        self.progress.phase("measuring the defaults")
        ready = [workload for workload in self.plan.workloads if self._defaults(workload)]
        todo = [w for w in ready if w.key not in self.outcome.finished.comparisons]
        for position, workload in enumerate(todo):
            self.progress.phase(f"searching, workload {position + 1} of {len(todo)}")
            self._search_workload(workload, todo[position:])

    def _write(self, record: AnyRecord) -> None:
        self.journal.write(record)

    def _skip(self, what: str, why: str) -> None:
        self.outcome.skipped.append(f"{what}: {why}")
        self.progress.note(f"skipped {what}: {why}")

    def _out_of_time(self, what: str) -> None:
        self.outcome.budget_ended = True
        self.outcome.skipped.append(f"{what}: the budget ended")

    def _ceilings(self) -> Ceilings:
        job = CeilingsJob(self.effort.ceiling_s, self.header.device.last_level_cache_bytes)
        ceilings = self.worker.do(job, SETUP_TIMEOUT_S)
        assert isinstance(ceilings, Ceilings)
        return ceilings

    # Building and the defaults

    def _defaults(self, workload: Workload) -> bool:
        """Builds the workload and measures every implementation's default; False when it cannot be built."""
        pairs = self.plan.of(workload)
        if workload.key in self.outcome.finished.comparisons:
            return True
        if self.time_left < LEAST_TRIAL_S:
            self._out_of_time(f"{workload.op} {workload.label()}, all implementations")
            return False
        if workload.key not in self.outcome.workloads and not self._build(workload):
            return False
        for pair in pairs:
            config = pair.implementation.default_config(workload.axis_values)
            try:
                self._trial(pair, config, Rung(0, 1, 1.0))
            except OutOfTime:
                self._out_of_time(f"{pair.name}, default config")
        return True

    def _build(self, workload: Workload) -> bool:
        name = f"{workload.op} {workload.label()}"
        self.progress.current(workload, "", "inputs")
        try:
            prepared = self.worker.do(PrepareJob(workload), SETUP_TIMEOUT_S)
        except (WorkerDied, WorkerTimeout) as error:
            self._skip(name, f"inputs could not be built: {error.reason}")
            return False
        except JobFailed as failed:
            self._skip(name, f"inputs could not be built: {failed.failure.reason}")
            return False
        assert isinstance(prepared, Prepared)
        assert self.outcome.ceilings is not None
        record = WorkloadRecord(
            workload=workload_id(workload),
            flops=prepared.cost.flops,
            compulsory_bytes=prepared.cost.compulsory_bytes,
            gather_bytes=prepared.cost.gather_bytes,
            input_bytes=prepared.input_bytes,
            roofline=roofline(prepared.cost, self.outcome.ceilings),
            rows_total=prepared.rows_total,
            rows_checked=prepared.rows_checked,
            build_s=prepared.build_s,
        )
        self.outcome.workloads[workload.key] = record
        self._write(record)
        return True

    # One trial

    def _trial(self, pair: Pair, config: Config, rung: Rung) -> Trial:
        """Measures, or finds among the finished. Raises OutOfTime, and journals nothing, when the budget cuts it off."""
        workload, implementation = pair.workload, pair.implementation
        known = self.outcome.finished.trial(workload.key, implementation.name, config, rung.number)
        if known is not None:
            return known
        started, begin = datetime.now(UTC), time.monotonic()
        pruned = implementation.constraint(config, workload.axis_values)
        if pruned:
            outcome = TrialOutcome(Status.PRUNED, pruned)
        else:
            outcome = self._measure(pair, config, rung)
        return self._record(pair, config, rung, outcome, started, time.monotonic() - begin)

    def _measure(self, pair: Pair, config: Config, rung: Rung) -> TrialOutcome:
        if self.time_left < LEAST_TRIAL_S:
            raise OutOfTime
        self.progress.current(pair.workload, pair.implementation.name, "")
        policy = self.effort.timing if rung.number == 0 else self.effort.timing.cheaper(rung.fraction)
        limit = min(self.trial_timeout_s, self.time_left)
        try:
            outcome = self.worker.do(TrialJob(pair.workload, pair.implementation.name, dict(config), policy), limit)
        except WorkerDied as died:
            return TrialOutcome(Status.CRASHED, died.reason)
        except WorkerTimeout as late:
            if late.stage and late.stage.text in SETUP_STAGES:
                return TrialOutcome(Status.LAUNCH_ERROR, f"not the kernel's fault: {late.reason}")
            if limit < self.trial_timeout_s:
                raise OutOfTime from late
            return TrialOutcome(Status.TIMEOUT, late.reason)
        except JobFailed as failed:
            status = Status.OUT_OF_MEMORY if failed.failure.out_of_memory else Status.LAUNCH_ERROR
            return TrialOutcome(status, f"inputs or reference, not the kernel: {failed.failure.reason}")
        assert isinstance(outcome, TrialOutcome)
        return outcome

    def _record(
        self, pair: Pair, config: Config, rung: Rung, outcome: TrialOutcome, started: datetime, duration_s: float
    ) -> Trial:
        workload, implementation = pair.workload, pair.implementation
        bound = self.outcome.workloads[workload.key].roofline
        status, reason = outcome.status, outcome.reason
        if outcome.timing is not None and status is Status.PASSED:
            reason = impossible(outcome.timing, bound)
            status = Status.IMPOSSIBLE if reason else status
        self._number += 1
        trial = Trial(
            number=self._number,
            op=workload.op,
            impl=implementation.name,
            workload=workload_id(workload),
            config=dict(config),
            is_default=config_key(config) == config_key(implementation.default_config(workload.axis_values)),
            source=self.header.sources[implementation.id],
            rung=rung.number,
            status=status,
            reason=reason,
            describe=outcome.describe,
            compile_s=outcome.compile_s,
            check=outcome.check,
            timing=outcome.timing,
            roofline_fraction=bound.bound_s / outcome.timing.median_s if outcome.timing else None,
            peak_extra_bytes=outcome.peak_extra_bytes,
            started=started.isoformat(timespec="milliseconds"),
            duration_s=duration_s,
        )
        self._write(trial)
        self.outcome.finished.add_trial(trial)
        if outcome.stages_s:
            self._note_cost(implementation.id, workload.key, outcome, duration_s, rung)
        self.progress.trial(trial)
        return trial

    def _note_cost(self, impl: str, workload_key: str, outcome: TrialOutcome, duration_s: float, rung: Rung) -> None:
        timing = outcome.stages_s.get("time", 0.0)
        ours = sum(outcome.stages_s.get(stage, 0.0) for stage in SETUP_STAGES)
        self._stages[workload_key, impl] = {"time": timing / rung.fraction}
        self._costs.setdefault(impl, []).append(max(0.0, duration_s - timing - ours))

    def _cost(self, pair: Pair) -> TrialCost:
        """What a trial of this pair will take, from what trials of its implementation took so far."""
        impl = pair.implementation.id
        timing = self._stages.get((pair.workload.key, impl), {}).get("time", self.effort.timing.time_s)
        fixed = self._costs.get(impl)
        # The mean, not the median: a few configs that compile for seconds are what fills a share.
        return TrialCost(statistics.fmean(fixed) if fixed else 1.0, timing)

    # Search

    def _search_workload(self, workload: Workload, still: list[Workload]) -> None:
        pairs = self.plan.of(workload)
        for i, pair in enumerate(pairs):
            if not pair.search:
                continue
            confirming = sum(self._confirm_estimate(w) for w in still)
            pairs_left = sum(p.search for p in pairs[i:]) + sum(p.search for w in still[1:] for p in self.plan.of(w))
            self._search_pair(pair, (self.time_left - confirming) / pairs_left)
        try:
            self._confirm(workload, pairs)
        except OutOfTime:
            self._out_of_time(f"{workload.op} {workload.label()}, confirmation")

    def _search_pair(self, pair: Pair, share_s: float) -> None:
        implementation, axes = pair.implementation, pair.workload.axis_values
        default = config_key(implementation.default_config(axes))
        legal: list[Config] = []
        for config in implementation.configs():
            if config_key(config) == default:
                continue
            if implementation.constraint(config, axes):
                self._trial(pair, config, Rung(0, 1, 1.0))
            else:
                legal.append(config)
        end = time.monotonic() + share_s
        seed = f"{self.header.seed} {pair.workload.key} {implementation.name}"
        search = Search(legal, self.strategy, seed, self._cost(pair), share_s)
        tried: set[str] = set()
        while proposal := search.propose():
            config, rung = proposal
            known = self.outcome.finished.trial(pair.workload.key, implementation.name, config, rung.number)
            if known is None and time.monotonic() + self._cost(pair).fixed > end:
                break
            self.progress.planned(search.planned)
            try:
                trial = self._trial(pair, config, rung)
            except OutOfTime:
                break
            tried.add(config_key(config))
            passed = trial.status is Status.PASSED and trial.timing is not None
            search.tell(config, trial.timing.median_s if passed and trial.timing else None)
        self.progress.planned(0)
        if len(tried) < len(legal):
            self._out_of_time(f"{pair.name}, {len(legal) - len(tried)} of {len(legal)} configs besides the default")

    # Confirmation

    def _entries(self, workload: Workload) -> list[Entry]:
        pairs = self.plan.of(workload)
        names = {
            p.implementation.name: self.outcome.finished.of_pair(workload.key, p.implementation.name) for p in pairs
        }
        return contenders(names, [p.implementation.name for p in pairs if p.search], self.effort)

    def _round_s(self, entries: list[Entry]) -> float:
        return sum(max(self.effort.round_s, e.median_s) * 1.1 for e in entries)

    def _confirm_estimate(self, workload: Workload) -> float:
        """Seconds to keep for a workload's confirmation: the least rounds of as many entries as there will be, as slow as
        the defaults are."""
        entries = self._entries(workload)
        if not entries:
            return 0.0
        guess = [e for e in entries for _ in range(self.effort.contenders)]
        calls = sum(e.median_s for e in guess) * _COMPARE_OVERHEAD_CALLS
        return 0.2 + self.effort.least_rounds * self._round_s(guess) + calls

    def _confirm(self, workload: Workload, pairs: list[Pair]) -> None:
        entries = self._entries(workload)
        dropped = 0
        while entries:
            if not any(e.impl == p.implementation.name for e in entries for p in pairs if p.search):
                return  # nothing but the baseline passed: nothing to confirm
            again = self._compare_once(workload, entries)
            if again is None:
                return
            dropped += 1
            entries = again
        if dropped:
            self._skip(f"{workload.op} {workload.label()}, confirmation", "every config dropped out")

    def _compare_once(self, workload: Workload, entries: list[Entry]) -> list[Entry] | None:
        """One attempt. None when the comparison is journaled, else the entries that are left to try again with."""
        started, begin = datetime.now(UTC), time.monotonic()
        doubled = with_duplicate(entries)
        twin = entries.index(doubled[-1])
        seed = self.header.seed
        round_s = self._round_s(doubled)
        overhead = 0.2 + sum(e.median_s for e in doubled) * _COMPARE_OVERHEAD_CALLS
        affordable = int((self.time_left - overhead) / round_s) if self.time_left < 1e9 else self.effort.rounds
        rounds = min(self.effort.rounds, affordable)
        if rounds < 3:  # a median of two says nothing
            raise OutOfTime
        self.progress.current(workload, "all", f"confirming {len(entries)} configs")
        job = CompareJob(
            workload=workload,
            entries=tuple((e.impl, e.config) for e in doubled),
            rounds=rounds,
            least_rounds=min(rounds, self.effort.least_rounds),
            round_s=self.effort.round_s,
            time_s=self.effort.rounds * self.effort.round_s * len(doubled) * 3,
            seed=seed,
        )
        limit = self.trial_timeout_s * len(doubled)
        try:
            result = self.worker.do(job, limit)
        except (WorkerDied, WorkerTimeout) as error:
            entry = error.stage.entry if error.stage else -1
            culprit = twin if entry == len(entries) else entry
            return self._without(workload, entries, {culprit: error.reason})
        except JobFailed as error:
            self._skip(f"{workload.op} {workload.label()}, confirmation", error.failure.reason)
            return None
        assert isinstance(result, CompareOutcome)
        failed = {(twin if i == len(entries) else i): reason for i, reason in result.failed.items()}
        if failed:
            return self._without(workload, entries, failed)
        record = comparison(
            workload=workload_id(workload),
            entries=entries,
            rounds_s=result.rounds_s[:-1],
            duplicate_s=result.rounds_s[-1],
            duplicate_of=twin,
            bound_s=self.outcome.workloads[workload.key].roofline.bound_s,
            seed=seed,
            started=started.isoformat(timespec="milliseconds"),
            duration_s=time.monotonic() - begin,
        )
        self._write(record)
        self.outcome.finished.add_comparison(record)
        self.progress.confirmed(record)
        self.on_comparison(record)
        return None

    def _without(self, workload: Workload, entries: list[Entry], failed: dict[int, str]) -> list[Entry]:
        for index, reason in failed.items():
            if index < 0:
                self._skip(f"{workload.op} {workload.label()}, confirmation", reason)
                return []
            entry = entries[index]
            self._skip(
                f"{workload.op}/{entry.impl} {workload.label()} {config_key(entry.config)}",
                f"in confirmation: {reason}",
            )
        return [e for i, e in enumerate(entries) if i not in failed]
