"""The loop of `compare`: ceilings; then for each workload a trial of every implementation, and those that passed interleaved."""

from __future__ import annotations

from collections.abc import Mapping

from dsabench.autotune.confirm import Entry
from dsabench.autotune.interleaved import Interleaver
from dsabench.autotune.measuring import LEAST_TRIAL_S, Measurer, OutOfTime, Run
from dsabench.autotune.plan import Pair, Plan
from dsabench.autotune.search import Rung
from dsabench.autotune.side_by_side.choice import Choice
from dsabench.bench.records import Comparison, PairRecord, Ratio, Status, Trial
from dsabench.bench.verdicts import PairVerdict, pair_verdicts
from dsabench.kernels.workload import Workload

_FULL = Rung(0, 1, 1.0)


class SideBySide:
    """`choices` has a config for every pair of the plan, by its name. JournalError and WorkerStartError pass through."""

    def __init__(self, run: Run, plan: Plan, choices: Mapping[str, Choice]) -> None:
        self.run = run
        self.plan = plan
        self.choices = choices
        self._measurer = Measurer(run)
        self._interleaver = Interleaver(run)

    def compare(self) -> None:
        run = self.run
        run.outcome.skipped += self.plan.unavailable
        todo = [workload for workload in self.plan.workloads if not self._is_done(workload)]
        if not todo:
            return
        run.progress.phase("measuring the machine's ceilings")
        self._measurer.ceilings()
        for number, workload in enumerate(todo, 1):
            run.progress.phase(f"comparing, workload {number} of {len(todo)}")
            self._workload(workload)

    def _is_done(self, workload: Workload) -> bool:
        """An earlier run into this journal compared all that is to be compared, with these configs."""
        finished = self.run.outcome.finished
        return workload.key in finished.comparisons and all(
            self._known(pair) is not None for pair in self.plan.of(workload)
        )

    def _known(self, pair: Pair) -> Trial | None:
        config = self.choices[pair.name].config
        return self.run.outcome.finished.trial(pair.workload.key, pair.implementation.name, config, _FULL.number)

    def _workload(self, workload: Workload) -> None:
        run, name = self.run, f"{workload.op} {workload.label()}"
        if run.time_left < LEAST_TRIAL_S:
            run.outcome.out_of_time(f"{name}, all implementations")
            return
        if workload.key not in run.outcome.workloads and not self._measurer.build(workload):
            return
        entries: list[Entry] = []
        for pair in self.plan.of(workload):
            try:
                trial = self._measurer.trial(pair, self.choices[pair.name].config, _FULL)
            except OutOfTime:
                run.outcome.out_of_time(pair.name)
                continue
            if trial.status is Status.PASSED and trial.timing is not None:
                entries.append(Entry(trial.impl, trial.config, trial.is_default, trial.timing.median_s))
        try:
            self._interleave(workload, entries)
        except OutOfTime:
            run.outcome.out_of_time(f"{name}, interleaved rounds")

    def _interleave(self, workload: Workload, entries: list[Entry]) -> None:
        while entries:
            self.run.progress.current(workload, "all", f"{len(entries)} implementations interleaved")
            found = self._interleaver.compare(workload, entries)
            if isinstance(found, Comparison):
                judged = with_pairs(found, self.run.header.seed)
                self.run.write(judged)
                self.run.outcome.finished.add_comparison(judged)
                self.run.progress.confirmed(judged)
                return
            entries = found


def with_pairs(comparison: Comparison, seed: int) -> Comparison:
    """The comparison with the verdict on every pair of its candidates."""
    pairs = pair_verdicts([candidate.rounds_s for candidate in comparison.candidates], comparison.noise, seed)
    return comparison.model_copy(update={"pairs": [_record(pair) for pair in pairs]})


def _record(pair: PairVerdict) -> PairRecord:
    ratio = None if pair.ratio is None else Ratio(ratio=pair.ratio.ratio, low=pair.ratio.low, high=pair.ratio.high)
    return PairRecord(first=pair.first, second=pair.second, ratio=ratio, verdict=pair.verdict)
