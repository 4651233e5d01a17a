"""Naming winners: which configs are re-timed interleaved, and what the rounds say about them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dsabench.autotune.plan import BASELINE
from dsabench.bench.effort import Effort
from dsabench.bench.intervals import RatioInterval, median_interval, paired_ratio
from dsabench.bench.records import (
    Candidate,
    Comparison,
    ConfigValues,
    ImplWinner,
    Ratio,
    Status,
    Trial,
    WorkloadId,
)
from dsabench.bench.verdicts import is_tie, noise_floor
from dsabench.kernels.implementation import config_key


@dataclass(frozen=True)
class Entry:
    """A config in the comparison. `median_s` is what its trial measured, for estimates."""

    impl: str
    config: ConfigValues
    is_default: bool
    median_s: float


def best_trials(trials: Sequence[Trial]) -> list[Trial]:
    """The passed trials of one pair, one a config (that of the most effort), the fastest first."""
    by_config: dict[str, Trial] = {}
    for trial in trials:
        if trial.status is not Status.PASSED or trial.timing is None:
            continue
        key = config_key(trial.config)
        known = by_config.get(key)
        if known is None or _effort_rank(trial) > _effort_rank(known):
            by_config[key] = trial
    return sorted(by_config.values(), key=lambda t: t.timing.median_s if t.timing else math.inf)


def _effort_rank(trial: Trial) -> float:
    return math.inf if trial.rung == 0 else trial.rung


def contenders(trials_by_impl: Mapping[str, Sequence[Trial]], searched: Sequence[str], effort: Effort) -> list[Entry]:
    """The best few of each implementation searched (see `Effort`), every default that passed among them."""
    entries: list[Entry] = []
    for impl, trials in trials_by_impl.items():
        ranked = best_trials(trials)
        chosen: list[Trial] = []
        if impl in searched and ranked:
            best = ranked[0].timing
            assert best is not None
            near = [t for t in ranked if t.timing and t.timing.low_s <= best.median_s * (1.0 + effort.within)]
            chosen = near[: effort.contenders]
        chosen += [t for t in ranked if t.is_default and t not in chosen]
        entries += [Entry(impl, t.config, t.is_default, t.timing.median_s) for t in chosen if t.timing]
    return entries


def with_duplicate(entries: Sequence[Entry]) -> list[Entry]:
    """The entries and, last, the fastest of them once more: two measurements of one config show the comparison's noise."""
    return [*entries, min(entries, key=lambda e: e.median_s)]


def comparison(
    workload: WorkloadId,
    entries: Sequence[Entry],
    rounds_s: Sequence[Sequence[float]],
    duplicate_s: Sequence[float],
    duplicate_of: int,
    bound_s: float,
    seed: int,
    started: str,
    duration_s: float,
) -> Comparison:
    """`rounds_s[i]` are the rounds of `entries[i]`, `duplicate_s` those of the second measurement of entry `duplicate_of`;
    all were measured in the same rounds."""

    def ratio(above: int, below: int) -> RatioInterval:
        return paired_ratio(rounds_s[above], rounds_s[below], seed)

    noise = noise_floor(paired_ratio(duplicate_s, rounds_s[duplicate_of], seed))
    medians = [statistics.median(each) for each in rounds_s]
    by_impl: dict[str, list[int]] = {}
    for i, entry in enumerate(entries):
        by_impl.setdefault(entry.impl, []).append(i)
    baseline = next((i for i in by_impl.get(BASELINE, []) if entries[i].is_default), None)
    winners: dict[str, ImplWinner] = {}
    for impl, indices in by_impl.items():
        fastest = min(indices, key=lambda i: medians[i])
        default = next((i for i in indices if entries[i].is_default), None)
        # A default that nobody beats beyond the noise stays: a winner that changes from run to run is worth nothing.
        winner = default if default is not None and is_tie(ratio(default, fastest), noise) else fastest
        winners[impl] = ImplWinner(
            winner=winner,
            ties=[i for i in indices if i != winner and is_tie(ratio(i, winner), noise)],
            default=default,
            speedup_over_default=_speedup(default, winner, ratio),
            speedup_over_torch=_speedup(baseline, winner, ratio),
        )
    best_impl = min(winners, key=lambda impl: medians[winners[impl].winner])
    others = [w.winner for impl, w in winners.items() if impl != best_impl]
    return Comparison(
        workload=workload,
        candidates=[_candidate(entry, rounds, bound_s) for entry, rounds in zip(entries, rounds_s, strict=True)],
        winners=winners,
        best_impl=best_impl,
        best_is_tie=any(is_tie(ratio(i, winners[best_impl].winner), noise) for i in others),
        noise=noise,
        started=started,
        duration_s=duration_s,
    )


def _speedup(slow: int | None, fast: int, ratio: Callable[[int, int], RatioInterval]) -> Ratio | None:
    if slow is None:
        return None
    if slow == fast:
        return Ratio(ratio=1.0, low=1.0, high=1.0)
    found = ratio(slow, fast)
    return Ratio(ratio=found.ratio, low=found.low, high=found.high)


def _candidate(entry: Entry, rounds: Sequence[float], bound_s: float) -> Candidate:
    low, high, _ = median_interval(rounds)
    median = statistics.median(rounds)
    return Candidate(
        impl=entry.impl,
        config=entry.config,
        is_default=entry.is_default,
        median_s=median,
        low_s=low,
        high_s=high,
        n=len(rounds),
        rounds_s=[float(r) for r in rounds],
        roofline_fraction=bound_s / median,
    )
