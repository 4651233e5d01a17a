"""The tuning loop: ceilings, every default, then search and confirmation workload by workload, within a budget.

measure the ceilings
for each workload, breadth first over the ops: build it, measure each implementation's default
for each workload: search each implementation for its share of what time is left, re-time the best interleaved
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dsabench.autotune.confirmation import Confirmer
from dsabench.autotune.measuring import LEAST_TRIAL_S, Measurer, OutOfTime, Run
from dsabench.autotune.plan import Pair, Plan
from dsabench.autotune.search import Config, Rung, Search, StrategyName
from dsabench.bench.records import Comparison, Status
from dsabench.kernels.implementation import config_key
from dsabench.kernels.workload import Workload

FULL_RUNG = Rung(0, 1, 1.0)


class Tuner:
    def __init__(
        self, run: Run, plan: Plan, strategy: StrategyName, on_comparison: Callable[[Comparison], None]
    ) -> None:
        """`run.outcome` holds what an earlier run finished, and is filled as this one goes: it is there after an
        interruption too. `on_comparison` is told of each winner named."""
        self.run = run
        self.plan = plan
        self.strategy = strategy
        self.on_comparison = on_comparison
        self._measurer = Measurer(run)
        self._confirmer = Confirmer(run, plan)

    def tune(self) -> None:
        """Raises JournalError when the journal cannot be written, WorkerStartError when no worker starts."""
        run = self.run
        run.outcome.skipped += self.plan.unavailable
        run.progress.phase("measuring the machine's ceilings")
        self._measurer.ceilings()
        run.progress.phase("measuring the defaults")
        ready = [workload for workload in self.plan.workloads if self._defaults(workload)]
        todo = [w for w in ready if w.key not in run.outcome.finished.comparisons]
        for position, workload in enumerate(todo):
            run.progress.phase(f"searching, workload {position + 1} of {len(todo)}")
            self._search_workload(workload, todo[position:])

    def _defaults(self, workload: Workload) -> bool:
        """Builds the workload and measures every implementation's default; False when it cannot be built."""
        pairs = self.plan.of(workload)
        if workload.key in self.run.outcome.finished.comparisons:
            return True
        if self.run.time_left < LEAST_TRIAL_S:
            self.run.outcome.out_of_time(f"{workload.op} {workload.label()}, all implementations")
            return False
        if workload.key not in self.run.outcome.workloads and not self._measurer.build(workload):
            return False
        for pair in pairs:
            config = pair.implementation.default_config(workload.axis_values)
            try:
                self._measurer.trial(pair, config, FULL_RUNG)
            except OutOfTime:
                self.run.outcome.out_of_time(f"{pair.name}, default config")
        return True

    def _search_workload(self, workload: Workload, still: list[Workload]) -> None:
        pairs = self.plan.of(workload)
        for i, pair in enumerate(pairs):
            if not pair.search:
                continue
            confirming = sum(self._confirmer.estimate(w) for w in still)
            pairs_left = sum(p.search for p in pairs[i:]) + sum(p.search for w in still[1:] for p in self.plan.of(w))
            self._search_pair(pair, (self.run.time_left - confirming) / pairs_left)
        try:
            comparison = self._confirmer.confirm(workload)
        except OutOfTime:
            self.run.outcome.out_of_time(f"{workload.op} {workload.label()}, confirmation")
            return
        if comparison is not None:
            self.on_comparison(comparison)

    def _search_pair(self, pair: Pair, share_s: float) -> None:
        implementation, axes = pair.implementation, pair.workload.axis_values
        default = config_key(implementation.default_config(axes))
        legal: list[Config] = []
        for config in implementation.configs():
            if config_key(config) == default:
                continue
            if implementation.constraint(config, axes):
                self._measurer.trial(pair, config, FULL_RUNG)
            else:
                legal.append(config)
        end = time.monotonic() + share_s
        seed = f"{self.run.header.seed} {pair.workload.key} {implementation.name}"
        search = Search(legal, self.strategy, seed, self._measurer.cost(pair), share_s)
        tried: set[str] = set()
        while proposal := search.propose():
            config, rung = proposal
            known = self.run.outcome.finished.trial(pair.workload.key, implementation.name, config, rung.number)
            if known is None and time.monotonic() >= end:
                break
            self.run.progress.planned(search.planned)
            try:
                trial = self._measurer.trial(pair, config, rung)
            except OutOfTime:
                break
            tried.add(config_key(config))
            passed = trial.status is Status.PASSED and trial.timing is not None
            search.tell(config, trial.timing.median_s if passed and trial.timing else None)
        self.run.progress.planned(0)
        if len(tried) < len(legal):
            self.run.outcome.out_of_time(
                f"{pair.name}, {len(legal) - len(tried)} of {len(legal)} configs besides the default"
            )
