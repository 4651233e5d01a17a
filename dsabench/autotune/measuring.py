"""One thing measured at a time, judged and journaled: the ceilings, a workload's inputs, a trial."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dsabench.autotune.ahead import CompileAhead
from dsabench.autotune.budget import Budget
from dsabench.autotune.outcome import Outcome, workload_id
from dsabench.autotune.plan import Pair
from dsabench.autotune.predict.machine import measured_machine
from dsabench.autotune.predict.model import Predictor
from dsabench.autotune.progress import Progress
from dsabench.autotune.search import Config, Rung, TrialCost
from dsabench.bench.ceilings import best_ceilings
from dsabench.bench.effort import Effort
from dsabench.bench.jobs import CeilingsJob, Prepared, PrepareJob, TrialJob, TrialOutcome
from dsabench.bench.journal import JournalWriter
from dsabench.bench.records import AnyRecord, Ceilings, Header, Status, Timing, Trial, WorkloadRecord
from dsabench.bench.roofline import impossible, roofline
from dsabench.bench.worker import SETUP_STAGES, JobFailed, Worker, WorkerDied, WorkerStartError, WorkerTimeout
from dsabench.kernels.implementation import config_key
from dsabench.kernels.op import Cost
from dsabench.kernels.workload import Workload

SETUP_TIMEOUT_S = 300.0
LEAST_TRIAL_S = 0.5
"""No trial is begun with less time than this left: it would only be cut off."""
GUESSED_TRIAL_S = 0.3
"""Compile, check and copies of a trial whose implementation has not been seen yet, when its code is cached."""
MOST_CEILINGS = 3


class OutOfTime(Exception):  # noqa: N818 - a turn of the loop
    """The budget ended before this could be measured."""


@dataclass(frozen=True)
class Run:
    """What everything in a run shares. `reserve_s` of the budget is left for what comes after (the report)."""

    header: Header
    effort: Effort
    budget: Budget
    reserve_s: float
    trial_timeout_s: float
    journal: JournalWriter
    worker: Worker
    ahead: CompileAhead
    progress: Progress
    outcome: Outcome

    @property
    def time_left(self) -> float:
        return self.budget.left - self.reserve_s

    def write(self, record: AnyRecord) -> None:
        self.journal.write(record)

    def skip(self, what: str, why: str) -> None:
        self.outcome.skipped.append(f"{what}: {why}")
        self.progress.note(f"skipped {what}: {why}")


class Measurer:
    """Every method journals what it measured before it returns. JournalError and WorkerStartError pass through."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._fixed_s: dict[str, list[float]] = {}
        self._timing_s: dict[tuple[str, str], float] = {}
        self._ceilings_measured = 0
        self._number = max((t.number for t in run.outcome.finished.trials), default=0)

    def ceilings(self) -> None:
        """Measures the machine's limits, unless the journal has them."""
        if self.run.outcome.ceilings is not None:
            return
        try:
            self.run.outcome.ceilings = self._measure_ceilings()
        except (WorkerDied, WorkerTimeout, JobFailed) as error:
            raise WorkerStartError(f"the machine's ceilings cannot be measured: {error}") from error
        self.run.write(self.run.outcome.ceilings)

    def _measure_ceilings(self) -> Ceilings:
        self._ceilings_measured += 1
        job = CeilingsJob(self.run.effort.ceiling_s)
        ceilings = self.run.worker.do(job, SETUP_TIMEOUT_S)
        assert isinstance(ceilings, Ceilings)
        return ceilings

    def _impossible(self, timing: Timing, workload: Workload) -> str:
        """Why the time is impossible, or "". Before a trial is called that, the ceilings are measured once more: on a machine
        that was busy at the start they came out too low, and the fault is theirs."""
        reason = impossible(timing, self.run.outcome.workloads[workload.key].roofline)
        if reason and self._ceilings_measured < MOST_CEILINGS and self.run.time_left > LEAST_TRIAL_S:
            self._raise_ceilings()
            reason = impossible(timing, self.run.outcome.workloads[workload.key].roofline)
        return reason

    def _raise_ceilings(self) -> None:
        """Measures again and keeps the higher of each; the workloads known so far get their new rooflines."""
        self.run.progress.note("a time below the roofline: measuring the ceilings again")
        before = self.run.outcome.ceilings
        assert before is not None
        try:
            now = self._measure_ceilings()
        except (WorkerDied, WorkerTimeout, JobFailed):
            return
        after = best_ceilings(before, now)
        if after == before:
            return
        self.run.outcome.ceilings = after
        self.run.write(after)
        for key, record in list(self.run.outcome.workloads.items()):
            cost = Cost(record.flops, record.compulsory_bytes, record.gather_bytes, record.product_dtype)
            self.run.outcome.workloads[key] = record.model_copy(update={"roofline": roofline(cost, after)})
            self.run.write(self.run.outcome.workloads[key])

    def build(self, workload: Workload) -> bool:
        name = f"{workload.op} {workload.label()}"
        self.run.progress.current(workload, "", "inputs")
        try:
            prepared = self.run.worker.do(PrepareJob(workload), SETUP_TIMEOUT_S)
        except (WorkerDied, WorkerTimeout) as error:
            self.run.skip(name, f"inputs could not be built: {error.reason}")
            return False
        except JobFailed as failed:
            self.run.skip(name, f"inputs could not be built: {failed.failure.reason}")
            return False
        assert isinstance(prepared, Prepared)
        assert self.run.outcome.ceilings is not None
        record = WorkloadRecord(
            workload=workload_id(workload),
            flops=prepared.cost.flops,
            compulsory_bytes=prepared.cost.compulsory_bytes,
            gather_bytes=prepared.cost.gather_bytes,
            product_dtype=prepared.cost.product_dtype,
            input_bytes=prepared.input_bytes,
            roofline=roofline(prepared.cost, self.run.outcome.ceilings),
            rows_total=prepared.rows_total,
            rows_checked=prepared.rows_checked,
            build_s=prepared.build_s,
        )
        self.run.outcome.workloads[workload.key] = record
        self.run.write(record)
        return True

    def trial(self, pair: Pair, config: Config, rung: Rung) -> Trial:
        """Measures, or finds among the finished. Raises OutOfTime, and journals nothing, when the budget cuts it off."""
        workload, implementation = pair.workload, pair.implementation
        known = self.run.outcome.finished.trial(workload.key, implementation.name, config, rung.number)
        if known is not None:
            return known
        started, begin = datetime.now(UTC), time.monotonic()
        pruned = implementation.constraint(config, workload.axis_values) or self._code_fault(pair, config)
        if pruned:
            outcome = TrialOutcome(Status.PRUNED, pruned)
        else:
            outcome = self._measure(pair, config, rung)
        return self._record(pair, config, rung, outcome, started, time.monotonic() - begin)

    def _code_fault(self, pair: Pair, config: Config) -> str | None:
        """What the config's machine code says against trying it; known without the device."""
        if pair.implementation.plan is None:
            return None
        self.run.progress.current(pair.workload, pair.implementation.name, "compiling ahead")
        return self.run.ahead.reason(pair.workload, pair.implementation, config)

    def predictions(self, pair: Pair, configs: Sequence[Config], wait_s: float) -> list[float | None]:
        """Predicted seconds of each config on this GPU, from its machine code; None where there is none: on a CPU, or while its
        code is not known within `wait_s`."""
        record = self.run.outcome.workloads.get(pair.workload.key)
        if self._predictor is None or record is None or pair.implementation.plan is None:
            return [None] * len(configs)
        found = self.run.ahead.inspections(pair.workload, pair.implementation, configs, wait_s)
        cost = Cost(record.flops, record.compulsory_bytes, record.gather_bytes, record.product_dtype)
        predicted = [self._predictor.seconds(each, cost) if each else None for each in found]
        return [each.seconds if each else None for each in predicted]

    @property
    def _predictor(self) -> Predictor | None:
        device, ceilings = self.run.header.device, self.run.outcome.ceilings
        if device.type != "cuda" or ceilings is None:
            return None
        return Predictor(measured_machine(device, ceilings))

    def _measure(self, pair: Pair, config: Config, rung: Rung) -> TrialOutcome:
        if self.run.time_left < LEAST_TRIAL_S:
            raise OutOfTime
        self.run.progress.current(pair.workload, pair.implementation.name, "")
        policy = self.run.effort.timing if rung.number == 0 else self.run.effort.timing.cheaper(rung.fraction)
        limit = min(self.run.trial_timeout_s, self.run.time_left)
        try:
            outcome = self.run.worker.do(TrialJob(pair.workload, pair.implementation.name, dict(config), policy), limit)
        except WorkerDied as died:
            return TrialOutcome(Status.CRASHED, died.reason)
        except WorkerTimeout as late:
            if late.stage and late.stage.text in SETUP_STAGES:
                return TrialOutcome(Status.LAUNCH_ERROR, f"not the kernel's fault: {late.reason}")
            if limit < self.run.trial_timeout_s:
                raise OutOfTime from late
            return TrialOutcome(Status.TIMEOUT, late.reason)
        except JobFailed as failed:
            status = Status.OUT_OF_MEMORY if failed.failure.out_of_memory else Status.LAUNCH_ERROR
            return TrialOutcome(status, f"inputs or reference, not the kernel: {failed.failure.reason}")
        assert isinstance(outcome, TrialOutcome)
        if outcome.lost:
            self.run.worker.kill()  # the next job starts a fresh one
        return outcome

    def _record(
        self, pair: Pair, config: Config, rung: Rung, outcome: TrialOutcome, started: datetime, duration_s: float
    ) -> Trial:
        workload, implementation = pair.workload, pair.implementation
        status, reason = outcome.status, outcome.reason
        if outcome.timing is not None and status is Status.PASSED:
            reason = self._impossible(outcome.timing, workload)
            status = Status.IMPOSSIBLE if reason else status
        bound = self.run.outcome.workloads[workload.key].roofline
        self._number += 1
        trial = Trial(
            number=self._number,
            op=workload.op,
            impl=implementation.name,
            workload=workload_id(workload),
            config=dict(config),
            is_default=config_key(config) == config_key(implementation.default_config(workload.axis_values)),
            source=self.run.header.sources[implementation.id],
            rung=rung.number,
            status=status,
            reason=reason,
            describe=outcome.describe,
            compile_s=outcome.compile_s,
            check=outcome.check,
            timing=outcome.timing,
            warm=outcome.warm,
            roofline_fraction=bound.bound_s / outcome.timing.median_s if outcome.timing else None,
            predicted_s=self.predictions(pair, [config], 0.0)[0],
            peak_extra_bytes=outcome.peak_extra_bytes,
            started=started.isoformat(timespec="milliseconds"),
            duration_s=duration_s,
        )
        self.run.write(trial)
        self.run.outcome.finished.add_trial(trial)
        if outcome.stages_s:
            self._note_cost(implementation.id, workload.key, outcome, duration_s, rung)
        self.run.progress.trial(trial)
        return trial

    def _note_cost(self, impl: str, workload_key: str, outcome: TrialOutcome, duration_s: float, rung: Rung) -> None:
        timing = outcome.stages_s.get("time", 0.0)
        ours = sum(outcome.stages_s.get(stage, 0.0) for stage in SETUP_STAGES)
        self._timing_s[workload_key, impl] = timing / rung.fraction
        self._fixed_s.setdefault(impl, []).append(max(0.0, duration_s - timing - ours))

    def cost(self, pair: Pair) -> TrialCost:
        """What a trial of this pair will take, from what trials of its implementation took so far. The first one is left
        out: it compiles what all configs share. A guess that is too low costs a search its last configs, one that is too
        high costs it all of them."""
        impl = pair.implementation.id
        timing = self._timing_s.get((pair.workload.key, impl), self.run.effort.timing.time_s)
        fixed = self._fixed_s.get(impl, [])[1:]
        return TrialCost(statistics.median(fixed) if fixed else GUESSED_TRIAL_S, timing)
