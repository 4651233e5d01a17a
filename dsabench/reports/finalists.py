"""Comparisons in full: every config that was timed again side by side, by how much the winners won, and against what noise."""

from __future__ import annotations

from dataclasses import dataclass

from dsabench.bench.intervals import paired_ratio
from dsabench.bench.records import Comparison, ConfigValues, WorkloadId
from dsabench.bench.verdicts import LEAST_ROUNDS
from dsabench.reports.quantities import Span, format_config, format_ratio
from dsabench.reports.sections import Section
from dsabench.reports.winners import rivals_of, roofline_fraction

_SEED = 0
"""of the margins' bootstrap: a report of the same journal is the same report"""


@dataclass(frozen=True)
class Finalist:
    """One config of a comparison."""

    impl: str
    config: str
    time: Span
    n: int
    fraction: float | None
    verdict: str


@dataclass(frozen=True)
class Margin:
    """By how much a winner beats the next. impl: of which both are configs; empty: between implementations.

    runner_up  of a config only where it differs from the winner's
    margin   time of the runner-up over that of the winner, less 1; below 0 where a default stayed because nothing beats it beyond
             the noise
    verdict  `clear`; `tie` as the journal has it; `alone` without another
    """

    op: str
    workload: WorkloadId
    impl: str
    winner: str
    runner_up: str
    margin: Span | None
    noise: float
    verdict: str
    ties: int


@dataclass(frozen=True)
class Pairs:
    """Every candidate against every other, in the order of their times. cells[i][j]: i's time over j's and what i is against j; None
    on the diagonal."""

    names: tuple[str, ...]
    cells: tuple[tuple[tuple[str, str] | None, ...], ...]


@dataclass(frozen=True)
class Finale:
    """A comparison: its configs fastest first, and its margins."""

    op: str
    workload: WorkloadId
    noise: float
    rounds: int
    finalists: tuple[Finalist, ...]
    margins: tuple[Margin, ...]
    pairs: Pairs | None


def finales(section: Section) -> list[Finale]:
    """In the report's order of workloads."""
    order = [w.key for op in section.ops for w in section.workloads_of(op)]
    return [_finale(section, section.comparisons[key]) for key in order if key in section.comparisons]


def _finale(section: Section, comparison: Comparison) -> Finale:
    return Finale(
        op=comparison.workload.op,
        workload=comparison.workload,
        noise=comparison.noise,
        rounds=max(len(c.rounds_s) for c in comparison.candidates),
        finalists=_finalists(section, comparison),
        margins=tuple(margins(comparison)),
        pairs=_pairs(comparison),
    )


def _finalists(section: Section, comparison: Comparison) -> tuple[Finalist, ...]:
    candidates = comparison.candidates
    verdicts: dict[int, list[str]] = {}
    for outcome in comparison.winners.values():
        verdicts.setdefault(outcome.winner, []).append("winner")
        for index in outcome.ties:
            verdicts.setdefault(index, []).append("tie with the winner")
        if outcome.default is not None:
            verdicts.setdefault(outcome.default, []).append("default")
    found = []
    for index in _by_time(comparison):
        c = candidates[index]
        best = comparison.winners.get(c.impl)
        words = verdicts.get(index, [])
        if best is not None and index != best.winner and index not in best.ties:
            gap = c.median_s / candidates[best.winner].median_s
            words = [*words, f"{format_ratio(gap)} its winner's time"]
        found.append(
            Finalist(
                impl=c.impl,
                config=format_config(c.config),
                time=Span(c.median_s, c.low_s, c.high_s),
                n=c.n,
                fraction=roofline_fraction(section, comparison.workload, c.median_s, c.roofline_fraction),
                verdict=", ".join(words),
            )
        )
    return tuple(found)


def _by_time(comparison: Comparison) -> list[int]:
    return sorted(range(len(comparison.candidates)), key=lambda i: comparison.candidates[i].median_s)


def margins(comparison: Comparison) -> list[Margin]:
    """Of each implementation its winner against the fastest of its other configs, then the fastest implementation against the next."""
    candidates = comparison.candidates
    order = _by_time(comparison)
    found = []
    for impl in sorted(comparison.winners, key=lambda name: (name != comparison.best_impl, name == "torch", name)):
        outcome = comparison.winners[impl]
        others = [i for i in order if candidates[i].impl == impl and i != outcome.winner]
        found.append(
            Margin(
                op=comparison.workload.op,
                workload=comparison.workload,
                impl=impl,
                winner=format_config(candidates[outcome.winner].config),
                runner_up=_difference(candidates[outcome.winner].config, candidates[others[0]].config)
                if others
                else "",
                margin=_margin(comparison, others[0], outcome.winner) if others else None,
                noise=comparison.noise,
                verdict="alone" if not others else "tie" if others[0] in outcome.ties else "clear",
                ties=len(outcome.ties),
            )
        )
    best = comparison.winners.get(comparison.best_impl)
    medians = {impl: candidates[w.winner].median_s for impl, w in comparison.winners.items()}
    rest = sorted((impl for impl in medians if impl != comparison.best_impl), key=lambda impl: medians[impl])
    if best is not None and rest:
        rivals = rivals_of(comparison)
        found.append(
            Margin(
                op=comparison.workload.op,
                workload=comparison.workload,
                impl="",
                winner=comparison.best_impl,
                runner_up=rest[0],
                margin=_margin(comparison, comparison.winners[rest[0]].winner, best.winner),
                noise=comparison.noise,
                verdict="tie" if rest[0] in rivals else "clear",
                ties=len(rivals),
            )
        )
    return found


def _difference(config: ConfigValues, other: ConfigValues) -> str:
    return format_config({name: value for name, value in other.items() if config.get(name) != value})


def _margin(comparison: Comparison, slower: int, faster: int) -> Span:
    above, below = comparison.candidates[slower], comparison.candidates[faster]
    if len(above.rounds_s) != len(below.rounds_s) or len(above.rounds_s) < LEAST_ROUNDS:
        return Span(above.median_s / below.median_s - 1)
    ratio = paired_ratio(above.rounds_s, below.rounds_s, _SEED)
    return Span(ratio.ratio - 1, ratio.low - 1, ratio.high - 1)


_MIRRORED = {"faster": "slower", "slower": "faster"}


def _pairs(comparison: Comparison) -> Pairs | None:
    """None where the journal has no verdicts of pairs: `tune` judges configs against their winner only."""
    if not comparison.pairs:
        return None
    cells: dict[tuple[int, int], tuple[str, str]] = {}
    for pair in comparison.pairs:
        ratio = pair.ratio.ratio if pair.ratio else None
        cells[pair.first, pair.second] = (format_ratio(ratio) if ratio else "–", pair.verdict)
        cells[pair.second, pair.first] = (
            format_ratio(1 / ratio) if ratio else "–",
            _MIRRORED.get(pair.verdict, pair.verdict),
        )
    order = _by_time(comparison)
    several = len({c.impl for c in comparison.candidates}) < len(comparison.candidates)
    names = tuple(
        comparison.candidates[i].impl + (f" {format_config(comparison.candidates[i].config)}" if several else "")
        for i in order
    )
    return Pairs(names, tuple(tuple(cells.get((i, j)) for j in order) for i in order))
