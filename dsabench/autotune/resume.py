"""Going on with a journal: is it of this machine and these sources, and what does it already hold."""

from __future__ import annotations

from collections.abc import Iterable

from dsabench.bench.journal import Journal
from dsabench.bench.records import Comparison, Header, Trial
from dsabench.kernels.implementation import Config, config_key
from dsabench.kernels.tuned_table import entry_versions

TrialKey = tuple[str, str, str, int]


class ResumeError(ValueError):
    """A journal that was measured on something else than what would go on with it."""


def check_resumable(journal: Journal, header: Header) -> None:
    """Raises ResumeError naming what differs between a journal and the run that would continue it."""
    old = journal.header
    differences = [
        (what, then, now)
        for what, then, now in (
            ("device", old.device.key, header.device.key),
            ("suite", old.suite, header.suite),
            ("seed", str(old.seed), str(header.seed)),
            ("effort", old.effort, header.effort),
        )
        if then != now
    ]
    then_keyed, now_keyed = (entry_versions(h.device.key, h.versions) for h in (old, header))
    for name in dict.fromkeys([*then_keyed, *now_keyed]):
        then, now = then_keyed.get(name, "not installed"), now_keyed.get(name, "not installed")
        if then != now:
            differences.append((f"{name} version", then, now))
    for earlier in journal.headers:
        for name, source in earlier.sources.items():
            if name in header.sources and header.sources[name] != source:
                differences.append((f"source of {name}", source, header.sources[name]))
    if differences:
        what, then, now = differences[0]
        more = f" (and {len(differences) - 1} more differences)" if len(differences) > 1 else ""
        raise ResumeError(
            f"cannot resume {journal.path}: its {what} is {then}, this run's is {now}{more}; choose another --out"
        )


class Finished:
    """The trials and comparisons that need not be done again."""

    def __init__(self, trials: Iterable[Trial] = (), comparisons: Iterable[Comparison] = ()) -> None:
        self.trials: list[Trial] = []
        self.comparisons: dict[str, Comparison] = {}
        self._by_key: dict[TrialKey, Trial] = {}
        self._by_pair: dict[tuple[str, str], list[Trial]] = {}
        for trial in trials:
            self.add_trial(trial)
        for comparison in comparisons:
            self.add_comparison(comparison)

    def add_trial(self, trial: Trial) -> None:
        self.trials.append(trial)
        self._by_key[trial.workload.key, trial.impl, config_key(trial.config), trial.rung] = trial
        self._by_pair.setdefault((trial.workload.key, trial.impl), []).append(trial)

    def add_comparison(self, comparison: Comparison) -> None:
        self.comparisons[comparison.workload.key] = comparison

    def trial(self, workload_key: str, impl: str, config: Config, rung: int) -> Trial | None:
        return self._by_key.get((workload_key, impl, config_key(config), rung))

    def of_pair(self, workload_key: str, impl: str) -> list[Trial]:
        return self._by_pair.get((workload_key, impl), [])
