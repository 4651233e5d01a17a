"""The best configs of each search, as it measured them: before the finalists were timed again side by side."""

from __future__ import annotations

from dataclasses import dataclass

from dsabench.bench.records import Status, WorkloadId
from dsabench.reports.quantities import Span, format_config
from dsabench.reports.sections import FULL_EFFORT, Section, config_key, context_of

MOST_CONFIGS = 10


@dataclass(frozen=True)
class TopConfig:
    """over_best: its time over that of the first; overlaps: its interval and the first's have a time in common; effort: in words;
    n: samples; part: `winner`, `finalist` or empty."""

    config: str
    time: Span
    over_best: float
    overlaps: bool
    effort: str
    n: int
    is_default: bool
    part: str


@dataclass(frozen=True)
class TopList:
    """passed: configs that passed, of which these are the best."""

    op: str
    impl: str
    workload: WorkloadId
    passed: int
    configs: tuple[TopConfig, ...]


def top_lists(section: Section, contexts: int) -> list[TopList]:
    """By op and implementation in the report's order, the workload with most configs first, at most `contexts` of them. A config
    counts once, as measured with the most effort."""
    frame = section.frame
    passed = frame[(frame["status"] == Status.PASSED.value) & frame["median_s"].notna()]
    passed = passed.sort_values("effort", kind="stable").drop_duplicates(["workload", "impl", "config"], keep="last")
    passed = passed.sort_values("median_s", kind="stable")
    by_impl: dict[tuple[str, str], list[TopList]] = {}
    for (op, impl, key), group in passed.groupby(["op", "impl", "workload"], sort=False):
        best = group.iloc[0]
        parts = _parts(section, str(key), str(impl))
        configs = tuple(
            TopConfig(
                config=format_config(section.trials[row.order].config),
                time=Span(row.median_s, row.low_s, row.high_s),
                over_best=row.median_s / best["median_s"],
                overlaps=row.low_s <= best["high_s"] and best["low_s"] <= row.high_s,
                effort="full" if row.effort == FULL_EFFORT else f"rung {row.effort}",
                n=_samples(section, row.order),
                is_default=bool(row.is_default),
                part=parts.get(row.config, ""),
            )
            for row in group.head(MOST_CONFIGS).itertuples()
        )
        found = TopList(str(op), str(impl), section.workloads[str(key)], len(group), configs)
        by_impl.setdefault((found.op, found.impl), []).append(found)
    order = {op: index for index, op in enumerate(section.ops)}
    lists = []
    for _, mine in sorted(by_impl.items(), key=lambda item: (order[item[0][0]], item[0][1] == "torch", item[0][1])):
        mine.sort(key=lambda each: (-each.passed, -context_of(each.workload)))
        lists += mine[:contexts]
    return lists


def _samples(section: Section, order: int) -> int:
    timing = section.trials[order].timing
    return timing.n if timing else 0


def _parts(section: Section, key: str, impl: str) -> dict[str, str]:
    """What became of the configs that were timed again."""
    comparison = section.comparisons.get(key)
    if comparison is None:
        return {}
    parts = {config_key(c.config): "finalist" for c in comparison.candidates if c.impl == impl}
    if impl in comparison.winners:
        parts[config_key(comparison.candidates[comparison.winners[impl].winner].config)] = "winner"
    return parts
