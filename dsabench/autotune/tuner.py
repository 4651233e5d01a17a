"""The tuning loop: ceilings, every default, then search and confirmation workload by workload, within a budget.

measure the ceilings
for each workload, breadth first over the ops: build it, measure each implementation's default
for each workload: search each implementation for its share of what time is left, re-time the best interleaved
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dsabench.autotune.budget import fair_share
from dsabench.autotune.confirmation import Confirmer
from dsabench.autotune.measuring import LEAST_TRIAL_S, Measurer, OutOfTime, Run
from dsabench.autotune.plan import Pair, Plan
from dsabench.autotune.predict.order import order_by_prediction
from dsabench.autotune.search import Config, Rung, Search, StrategyName, full_effort, search_order
from dsabench.bench.records import Comparison, Status
from dsabench.kernels.implementation import config_key
from dsabench.kernels.workload import Workload

FULL_RUNG = Rung(0, 1, 1.0)
PREDICTION_SHARE = 0.1
"""Of a search's time, the most that is spent waiting for configs to be compiled so that they can be put in order."""


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
        self._spaces: dict[str, tuple[list[Config], list[Config]]] = {}
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
            to_come = [p for p in [*pairs[i:], *(p for w in still[1:] for p in self.plan.of(w))] if p.search]
            claims = [(p.weight, self._need_s(p)) for p in to_come]
            self._search_pair(pair, fair_share(self.run.time_left - confirming, claims))
        try:
            comparison = self._confirmer.confirm(workload)
        except OutOfTime:
            self.run.outcome.out_of_time(f"{workload.op} {workload.label()}, confirmation")
            return
        if comparison is not None:
            self.on_comparison(comparison)

    def _configs(self, pair: Pair) -> tuple[list[Config], list[Config]]:
        """The configs besides the default: those that may run, those that its constraint rules out."""
        if pair.name not in self._spaces:
            implementation, axes = pair.implementation, pair.workload.axis_values
            default = config_key(implementation.default_config(axes))
            legal: list[Config] = []
            pruned: list[Config] = []
            for config in implementation.configs():
                if config_key(config) != default:
                    (pruned if implementation.constraint(config, axes) else legal).append(config)
            self._spaces[pair.name] = legal, pruned
        return self._spaces[pair.name]

    def _need_s(self, pair: Pair) -> float:
        """Seconds to try every config at full effort."""
        return self._measurer.cost(pair).of(full_effort(len(self._configs(pair)[0])))

    def _search_pair(self, pair: Pair, share_s: float) -> None:
        implementation = pair.implementation
        legal, pruned = self._configs(pair)
        for config in pruned:
            self._measurer.trial(pair, config, FULL_RUNG)
        end = time.monotonic() + share_s
        tried: set[str] = set()
        default = implementation.default_config(pair.workload.axis_values)
        todo = search_order(
            legal,
            self.strategy,
            f"{self.run.header.seed} {pair.workload.key} {implementation.name}",
            lambda config: implementation.compiles_anew(config, default),
        )
        while todo:
            if self.strategy in ("auto", "halving"):
                # A search that fits only some of the configs tries those first that are predicted to be fast.
                predicted = self._measurer.predictions(pair, todo, PREDICTION_SHARE * (end - time.monotonic()))
                todo = order_by_prediction(todo, predicted)
            # What a trial costs is known better with each: where a search ends early, the rest of its time starts another.
            search = Search(todo, self.strategy, self._measurer.cost(pair), end - time.monotonic())
            if not search.rungs or not self._follow(search, pair, end, tried):
                break
            todo = search.untried
        self.run.progress.planned(0)
        if len(tried) < len(legal):
            self.run.outcome.out_of_time(
                f"{pair.name}, {len(legal) - len(tried)} of {len(legal)} configs besides the default"
            )

    def _follow(self, search: Search, pair: Pair, end: float, tried: set[str]) -> bool:
        """Measures what `search` proposes and notes it in `tried`; False when the time was up before it was through."""
        while proposal := search.propose():
            config, rung = proposal
            known = self.run.outcome.finished.trial(pair.workload.key, pair.implementation.name, config, rung.number)
            # A trial is begun when at least half of it fits: waiting for a whole one would leave every share unused.
            if known is None and time.monotonic() + 0.5 * self._measurer.cost(pair).of([rung.once()]) >= end:
                return False
            self.run.progress.planned(search.planned)
            try:
                trial = self._measurer.trial(pair, config, rung)
            except OutOfTime:
                return False
            tried.add(config_key(config))
            passed = trial.status is Status.PASSED and trial.timing is not None
            search.tell(config, trial.timing.median_s if passed and trial.timing else None)
        return True
