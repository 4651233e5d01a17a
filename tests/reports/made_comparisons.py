"""A comparison made by hand: rounds given config by config, verdicts as `tune` and `compare` would write them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dsabench.bench.intervals import RatioInterval, paired_ratio
from dsabench.bench.records import Candidate, Comparison, ImplWinner, PairRecord, Ratio
from dsabench.bench.verdicts import is_tie, pair_verdicts
from tests.reports.journals import workload_id
from tests.reports.made_trials import OP


@dataclass(frozen=True)
class Made:
    """One candidate and its rounds."""

    impl: str
    config: Mapping[str, bool | int | str]
    rounds_s: Sequence[float]
    is_default: bool = False
    median_s: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "median_s", statistics.median(self.rounds_s))


def made_comparison(made: Sequence[Made], *, noise: float, context: int = 4096, pairs: bool = False) -> Comparison:
    def ratio(above: int, below: int) -> RatioInterval:
        return paired_ratio(made[above].rounds_s, made[below].rounds_s, 0)

    def record(above: int | None, below: int) -> Ratio | None:
        if above is None:
            return None
        if above == below:
            return Ratio(ratio=1.0, low=1.0, high=1.0)
        return Ratio(**ratio(above, below)._asdict())

    torch = next((i for i, m in enumerate(made) if m.impl == "torch" and m.is_default), None)
    winners = {}
    for impl in dict.fromkeys(m.impl for m in made):
        mine = [i for i, m in enumerate(made) if m.impl == impl]
        fastest = min(mine, key=lambda i: made[i].median_s)
        default = next((i for i in mine if made[i].is_default), None)
        winner = default if default is not None and is_tie(ratio(default, fastest), noise) else fastest
        winners[impl] = ImplWinner(
            winner=winner,
            ties=[i for i in mine if i != winner and is_tie(ratio(i, winner), noise)],
            default=default,
            speedup_over_default=record(default, winner),
            speedup_over_torch=record(torch, winner),
        )
    best = min(winners, key=lambda impl: made[winners[impl].winner].median_s)
    others = [w.winner for impl, w in winners.items() if impl != best]
    return Comparison(
        workload=workload_id(OP, context),
        candidates=[
            Candidate(
                impl=m.impl,
                config=dict(m.config),
                is_default=m.is_default,
                median_s=m.median_s,
                low_s=min(m.rounds_s),
                high_s=max(m.rounds_s),
                n=len(m.rounds_s),
                rounds_s=list(m.rounds_s),
                roofline_fraction=0.5,
            )
            for m in made
        ],
        winners=winners,
        best_impl=best,
        best_is_tie=any(is_tie(ratio(i, winners[best].winner), noise) for i in others),
        noise=noise,
        pairs=[
            PairRecord(
                first=p.first,
                second=p.second,
                ratio=Ratio(**p.ratio._asdict()) if p.ratio else None,
                verdict=p.verdict,
            )
            for p in pair_verdicts([m.rounds_s for m in made], noise, 0)
        ]
        if pairs
        else [],
        started="2026-01-02T03:06:00+00:00",
        duration_s=1.0,
    )
