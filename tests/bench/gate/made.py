"""Journals in memory, with SYNTHETIC times, of a few rows each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dsabench.bench.journal import Journal
from dsabench.bench.records import (
    Candidate,
    Comparison,
    ConfigValues,
    End,
    ImplWinner,
    Record,
    Status,
    Trial,
    WorkloadId,
)
from tests.reports import journals as synthetic

OP = "topk_select"
CONTEXTS = (1024, 2048, 4096, 8192, 16384, 32768)
"""Six workloads: one row of an implementation that changed nothing is a control, five of them are enough."""
HALF = 0.002
"""Half-width of every median's interval, relative."""


def workload(context: int, op: str = OP) -> WorkloadId:
    return synthetic.workload_id(op, context)


def comparison(
    context: int,
    times: Mapping[str, float],
    noise: float = 0.004,
    half: float = HALF,
    configs: Mapping[str, ConfigValues] | None = None,
    defaults: Mapping[str, float] | None = None,
    op: str = OP,
) -> Comparison:
    """times: by implementation, its winner's. defaults: its default's, where that is not the winner."""
    candidates: list[Candidate] = []
    winners = {}

    def place(impl: str, seconds: float, config: ConfigValues, is_default: bool) -> int:
        low, high = seconds * (1 - half), seconds * (1 + half)
        candidates.append(
            Candidate(
                impl=impl, config=config, is_default=is_default, median_s=seconds, low_s=low, high_s=high, n=15,
                rounds_s=[seconds] * 15, roofline_fraction=0.5,
            )
        )  # fmt: skip
        return len(candidates) - 1

    for impl, seconds in times.items():
        config = (configs or {}).get(impl, {"TILE": 64})
        own = impl not in (defaults or {})
        winner = place(impl, seconds, config, own)
        default = winner if own else place(impl, (defaults or {})[impl], {"TILE": 1}, True)
        winners[impl] = ImplWinner(
            winner=winner, ties=[], default=default, speedup_over_default=None, speedup_over_torch=None
        )
    return Comparison(
        workload=workload(context, op),
        candidates=candidates,
        winners=winners,
        best_impl=min(times, key=lambda impl: times[impl]),
        best_is_tie=False,
        noise=noise,
        started="2026-01-02T03:05:00+00:00",
        duration_s=1.0,
    )


def trial(
    context: int,
    impl: str,
    seconds: float | None,
    status: Status = Status.PASSED,
    reason: str = "",
    is_default: bool = True,
    rung: int = 0,
    op: str = OP,
) -> Trial:
    made = synthetic.JournalBuilder().trial(
        "topk_select", "cpu", 4096, {"NK": 2, "BLOCK_KV": 64, "DEQUANT": "table"}, synthetic.random.Random(1)
    )
    timing = made.timing
    if timing is not None and seconds is not None:
        spread = {"low_s": seconds * (1 - HALF), "high_s": seconds * (1 + HALF)}
        timing = timing.model_copy(update={"median_s": seconds, **spread})
    return made.model_copy(
        update={
            "op": op,
            "impl": impl,
            "workload": workload(context, op),
            "config": {"TILE": 1 if is_default else 64},
            "is_default": is_default,
            "rung": rung,
            "status": status,
            "reason": reason,
            "timing": timing if status is Status.PASSED and seconds is not None else None,
        }
    )


def end(reason: Literal["complete", "budget", "interrupted", "error"] = "complete", *skipped: str) -> End:
    return End(reason=reason, detail="", ended="2026-01-02T04:00:00+00:00", wall_s=9.0, skipped=list(skipped))


@dataclass
class Made:
    """A journal to be: times[impl] are seconds at each of CONTEXTS; header: what its header has otherwise."""

    name: str
    times: dict[str, float]
    header: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    noise: float = 0.004
    half: float = HALF
    ceilings: float = 1.0
    records: list[Record] = field(default_factory=list)
    end: End | None = field(default_factory=end)
    changed: dict[tuple[str, int], float] = field(default_factory=dict)
    """seconds of single rows, by implementation and context"""
    configs: dict[str, ConfigValues] = field(default_factory=dict)

    def journal(self) -> Journal:
        made = Journal(Path(f"{self.name}/journal.jsonl"))
        sources = {f"{OP}/{impl}": "aaaaaaaaaaaa" for impl in self.times}
        sources |= {f"{OP}/{impl}": source for impl, source in self.sources.items()}
        header = synthetic.header(synthetic.device(), run_id=self.name)
        made.add(header.model_copy(update={"sources": sources, **self.header}))
        if self.ceilings:
            made.add(synthetic.ceilings(self.ceilings))
        for context in CONTEXTS if self.times else ():
            times = {impl: self.changed.get((impl, context), seconds) for impl, seconds in self.times.items()}
            made.add(comparison(context, times, self.noise, self.half, self.configs))
        for record in self.records:
            made.add(record)  # type: ignore[arg-type]
        if self.end:
            made.add(self.end)
        return made
