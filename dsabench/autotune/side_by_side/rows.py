"""What `compare` found, a row a workload and implementation, and a pair's verdicts: for the table, `--json` and CSV."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dsabench.autotune.outcome import Outcome
from dsabench.autotune.plan import Pair, Plan
from dsabench.autotune.side_by_side.choice import Choice
from dsabench.bench.intervals import RatioInterval
from dsabench.bench.languages import BestOfLanguage, Timed, best_of_languages, language_of
from dsabench.bench.records import Comparison, PairRecord, Ratio, Status, Trial
from dsabench.bench.verdicts import PairVerdict
from dsabench.kernels.workload import Workload


@dataclass(frozen=True)
class Row:
    """interleaved: the times are of the interleaved rounds, else (it dropped out, or the rounds were not reached) of its trial
    alone, and there is no verdict. to_fastest: its time / the fastest's. verdict: against the fastest, which is `fastest`."""

    workload: Workload
    impl: str
    choice: Choice
    trial: Trial
    interleaved: bool
    median_s: float | None
    low_s: float | None
    high_s: float | None
    roofline_fraction: float | None
    to_fastest: Ratio | None
    verdict: str | None


def by_op(plan: Plan) -> list[Workload]:
    """The plan's workloads, op by op."""
    ops = list(dict.fromkeys(w.op for w in plan.workloads))
    return sorted(plan.workloads, key=lambda w: ops.index(w.op))


def rows(plan: Plan, choices: Mapping[str, Choice], outcome: Outcome) -> list[Row]:
    """By workload, the fastest first and last what did not pass; what was not tried is left out."""
    found: list[Row] = []
    for workload in by_op(plan):
        of_workload = [row for pair in plan.of(workload) if (row := _row(pair, choices[pair.name], outcome))]
        found += sorted(of_workload, key=lambda row: (not row.interleaved, row.median_s or math.inf))
    return found


def _row(pair: Pair, choice: Choice, outcome: Outcome) -> Row | None:
    workload, impl = pair.workload, pair.implementation.name
    trial = outcome.finished.trial(workload.key, impl, choice.config, 0)
    if trial is None:
        return None
    comparison = outcome.finished.comparisons.get(workload.key)
    place = _place(comparison, impl)
    timed: Any = trial.timing if trial.status is Status.PASSED else None
    ratio, verdict = None, None
    if comparison is not None and place is not None:
        timed = comparison.candidates[place]
        fastest = min(range(len(comparison.candidates)), key=lambda i: comparison.candidates[i].median_s)
        if place == fastest:
            ratio, verdict = Ratio(ratio=1.0, low=1.0, high=1.0), "fastest"
        else:
            judged = between(comparison.pairs, place, fastest)
            ratio, verdict = judged.ratio, judged.verdict
    bound_s = outcome.workloads[workload.key].roofline.bound_s
    return Row(
        workload=workload,
        impl=impl,
        choice=choice,
        trial=trial,
        interleaved=place is not None,
        median_s=timed.median_s if timed else None,
        low_s=timed.low_s if timed else None,
        high_s=timed.high_s if timed else None,
        roofline_fraction=bound_s / timed.median_s if timed else None,
        to_fastest=ratio,
        verdict=verdict,
    )


def _place(comparison: Comparison | None, impl: str) -> int | None:
    candidates = comparison.candidates if comparison else []
    return next((i for i, candidate in enumerate(candidates) if candidate.impl == impl), None)


def between(pairs: list[PairRecord], first: int, second: int) -> PairRecord:
    """What `first` is against `second`, in whichever order the pair is recorded."""
    for pair in pairs:
        if (pair.first, pair.second) == (first, second):
            return pair
        if (pair.second, pair.first) == (first, second):
            interval = RatioInterval(pair.ratio.ratio, pair.ratio.low, pair.ratio.high) if pair.ratio else None
            turned = PairVerdict(pair.first, pair.second, interval, pair.verdict).mirrored()
            ratio = turned.ratio and Ratio(**turned.ratio._asdict())
            return PairRecord(first=first, second=second, ratio=ratio, verdict=turned.verdict)
    raise LookupError(f"no verdict on candidates {first} and {second}")


def order_line(comparison: Comparison) -> str:
    """Fastest first: `cpu < mine ≈ torch`, where ≈ stands between neighbours that tie and ? between those with too few rounds."""
    ranked = sorted(range(len(comparison.candidates)), key=lambda i: comparison.candidates[i].median_s)
    words = [comparison.candidates[ranked[0]].impl]
    for before, after in itertools.pairwise(ranked):
        sign = {"tie": "≈", "too few": "?"}.get(between(comparison.pairs, before, after).verdict, "<")
        words += [sign, comparison.candidates[after].impl]
    return " ".join(words)


def row_document(row: Row) -> dict[str, Any]:
    """A row as `--json` prints it; times in seconds."""
    check = row.trial.check
    return {
        **_workload_document(row.workload),
        "impl": row.impl,
        "language": language_of(row.impl),
        "config": row.choice.config,
        "config_from": "default" if row.choice.tuned_for is None else "tuned",
        "tuned_for": None if row.choice.tuned_for is None else dict(row.choice.tuned_for),
        "status": str(row.trial.status),
        "reason": row.trial.reason,
        "rows_checked": check.rows_checked if check else 0,
        "rows_total": check.rows_total if check else 0,
        "interleaved": row.interleaved,
        "median_s": row.median_s,
        "low_s": row.low_s,
        "high_s": row.high_s,
        "roofline_fraction": row.roofline_fraction,
        "to_fastest": row.to_fastest.model_dump() if row.to_fastest else None,
        "verdict": row.verdict,
    }


def languages(found: Iterable[Row]) -> dict[Workload, list[BestOfLanguage]]:
    """The fastest of each language, by workload; without those where fewer than two were in the interleaved rounds."""
    timed: dict[Workload, list[Timed]] = {}
    for row in found:
        if row.interleaved and row.median_s is not None:
            timed.setdefault(row.workload, []).append(Timed(row.impl, row.median_s, row.roofline_fraction))
    return {workload: best for workload, each in timed.items() if (best := best_of_languages(each))}


def language_documents(found: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """What `languages` says as `--json` prints it; times in seconds."""
    for workload, best in languages(found).items():
        for each in best:
            yield {**_workload_document(workload), **asdict(each)}


def _workload_document(workload: Workload) -> dict[str, Any]:
    return {
        "op": workload.op,
        "axes": workload.axis_values,
        "distribution": workload.distribution,
        "seed": workload.seed,
    }


def pair_documents(plan: Plan, outcome: Outcome) -> Iterator[dict[str, Any]]:
    """Every pair of implementations of every comparison as `--json` prints it."""
    for workload in by_op(plan):
        comparison = outcome.finished.comparisons.get(workload.key)
        for pair in comparison.pairs if comparison else []:
            assert comparison is not None
            yield {
                **_workload_document(workload),
                "first": comparison.candidates[pair.first].impl,
                "second": comparison.candidates[pair.second].impl,
                "ratio": pair.ratio.model_dump() if pair.ratio else None,
                "verdict": pair.verdict,
                "noise": comparison.noise,
                "rounds": comparison.candidates[pair.first].n,
            }
