"""The table of winners: one row for every implementation on every workload, those that failed or never ran included."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from dsabench.bench.records import Comparison, Ratio, Status, Trial, WorkloadId, WorkloadRecord
from dsabench.reports.quantities import Span, format_config
from dsabench.reports.sections import Section, config_key

if TYPE_CHECKING:
    import pandas as pd

ConfigValues = dict[str, bool | int | str]

ROOF_MARGIN = 1.05
"""Above this fraction a time breaks the accounting. The same as `dsabench.bench.roofline.CEILING_MARGIN`, by which a trial is
called IMPOSSIBLE, and stated again because that module needs torch; a test holds them together."""


@dataclass(frozen=True)
class WinnerRow:
    """What is known of one implementation on one workload.

    state  `compared`: re-timed interleaved with its rivals; `provisional`: best trial so far, not re-timed;
           `failed`: tried, nothing passed; `untried`: announced, no trial
    """

    workload: WorkloadId | None
    op: str
    impl: str
    state: Literal["compared", "provisional", "failed", "untried"]
    config: ConfigValues = field(default_factory=dict)
    default_config: ConfigValues | None = None
    time: Span | None = None
    default_time: Span | None = None
    over_default: Span | None = None
    over_torch: Span | None = None
    fraction: float | None = None
    limit: str = ""
    """what the roofline fraction is a fraction of, in words"""
    ties: tuple[ConfigValues, ...] = ()
    default_ties: bool = False
    """the stated default is among the ties: tuning changed nothing that the noise lets one see"""
    fastest: bool = False
    rivals: tuple[str, ...] = ()
    """implementations whose winners are within the noise of the fastest"""
    note: str = ""
    ran: str = ""
    """what really ran: products, instruction set, threads"""

    @property
    def above_roof(self) -> bool:
        return self.fraction is not None and self.fraction > ROOF_MARGIN

    @property
    def result(self) -> str:
        """In a word or two, to choose rows by."""
        if self.state == "compared":
            tied = "tied for fastest" if self.rivals else ""
            return tied or ("fastest" if self.fastest else "slower")
        return {"provisional": "provisional", "failed": "no config passed", "untried": "not tried"}[self.state]

    @property
    def is_default(self) -> bool:
        return self.default_config is not None and self.config == self.default_config


def limit_words(record: WorkloadRecord | None) -> str:
    """`bf16 products` or `read bandwidth`: the ceiling that bounds the workload."""
    if record is None:
        return ""
    roofline = record.roofline
    if roofline.limit == "compute":
        return f"{roofline.product or 'f32'} products"
    return f"{roofline.bandwidth} bandwidth"


def roofline_fraction(section: Section, workload: WorkloadId, seconds: float, recorded: float | None) -> float | None:
    """Of the roofline as it is known at the end: ceilings that came out too low are measured again in the middle of a run,
    and the workload's later record holds the better one. `recorded` stands where there is no record."""
    record = section.records.get(workload.key)
    return recorded if record is None else record.roofline.bound_s / seconds


def _span(ratio: Ratio | None) -> Span | None:
    return None if ratio is None else Span(ratio.ratio, ratio.low, ratio.high)


def rivals_of(comparison: Comparison) -> tuple[str, ...]:
    """Who ties with the fastest. The journal says that there is a tie; the gap in medians says with whom."""
    if not comparison.best_is_tie:
        return ()
    medians = {impl: comparison.candidates[w.winner].median_s for impl, w in comparison.winners.items()}
    best = medians.get(comparison.best_impl)
    others = sorted((median, impl) for impl, median in medians.items() if impl != comparison.best_impl)
    if best is None or not others:
        return ()
    near = tuple(impl for median, impl in others if median / best - 1 <= comparison.noise)
    return near or (others[0][1],)


def _described(section: Section, config: ConfigValues, frame: pd.DataFrame) -> str:
    """The latest trial's word on what ran under this config."""
    orders = frame.loc[frame["config"] == config_key(config), "order"]
    return section.trials[int(orders.iloc[-1])].describe if len(orders) else ""


def _compared(section: Section, comparison: Comparison, impl: str, frame: pd.DataFrame) -> WinnerRow:
    outcome = comparison.winners[impl]
    winner = comparison.candidates[outcome.winner]
    default = comparison.candidates[outcome.default] if outcome.default is not None else None
    rivals = rivals_of(comparison)
    fastest = impl == comparison.best_impl
    return WinnerRow(
        workload=comparison.workload,
        op=comparison.workload.op,
        impl=impl,
        state="compared",
        config=winner.config,
        default_config=default.config if default else None,
        time=Span(winner.median_s, winner.low_s, winner.high_s),
        default_time=Span(default.median_s, default.low_s, default.high_s) if default else None,
        over_default=_span(outcome.speedup_over_default),
        over_torch=_span(outcome.speedup_over_torch),
        fraction=roofline_fraction(section, comparison.workload, winner.median_s, winner.roofline_fraction),
        limit=limit_words(section.records.get(comparison.workload.key)),
        ties=tuple(comparison.candidates[i].config for i in outcome.ties),
        default_ties=outcome.default in outcome.ties,
        fastest=fastest,
        ran=_described(section, winner.config, frame),
        rivals=rivals if fastest else ((comparison.best_impl,) if impl in rivals else ()),
    )


def _summary_of_failures(trials: list[Trial]) -> str:
    counts: dict[str, int] = {}
    for trial in trials:
        counts[trial.status.value] = counts.get(trial.status.value, 0) + 1
    worst = next((t for t in trials if t.status is not Status.PRUNED), trials[0])
    return f"{', '.join(f'{n} {status}' for status, n in counts.items())}. {worst.status.value}: {worst.reason}"


def _best_passed(frame: pd.DataFrame) -> pd.Series | None:
    """The fastest of the trials measured with the most effort: times of cheaper rungs are too loose to rank beside them."""
    passed = frame[(frame["status"] == Status.PASSED.value) & frame["median_s"].notna()]
    if passed.empty:
        return None
    top = passed[passed["effort"] == passed["effort"].max()]
    return top.loc[top["median_s"].idxmin()]


def _from_trials(
    section: Section, workload: WorkloadId, impl: str, frame: pd.DataFrame, torch_s: float | None
) -> WinnerRow:
    best = _best_passed(frame)
    if best is None:
        trials = [section.trials[order] for order in frame["order"]]
        if not trials:
            return WinnerRow(
                workload, workload.op, impl, "untried", note="Announced in the run's header; no trial was made."
            )
        note = f"No config passed: {_summary_of_failures(trials)}"
        return WinnerRow(workload, workload.op, impl, "failed", note=note)
    trial = section.trials[int(best["order"])]
    defaults = frame[frame["is_default"] & (frame["status"] == Status.PASSED.value) & frame["median_s"].notna()]
    default = defaults.loc[defaults["effort"].idxmax()] if not defaults.empty else None
    median = float(best["median_s"])
    announced = frame[frame["is_default"]]
    default_config = section.trials[int(announced.iloc[0]["order"])].config if not announced.empty else None
    return WinnerRow(
        workload=workload,
        op=workload.op,
        impl=impl,
        state="provisional",
        config=trial.config,
        default_config=default_config,
        time=Span(median, float(best["low_s"]), float(best["high_s"])),
        default_time=None
        if default is None
        else Span(float(default["median_s"]), float(default["low_s"]), float(default["high_s"])),
        over_default=None if default is None else Span(float(default["median_s"]) / median),
        over_torch=None if torch_s is None else Span(torch_s / median),
        fraction=roofline_fraction(section, workload, median, trial.roofline_fraction),
        limit=limit_words(section.records.get(workload.key)),
        ran=trial.describe,
        note="Provisional: best trial so far, not re-timed against its rivals.",
    )


def _workload_rows(section: Section, workload: WorkloadId) -> list[WinnerRow]:
    groups, empty = section.groups, section.frame.iloc[:0]
    comparison = section.comparisons.get(workload.key)
    torch_frame = groups.get((workload.key, "torch"), empty)
    torch_default = _best_passed(torch_frame[torch_frame["is_default"]])
    torch_s = None if torch_default is None else float(torch_default["median_s"])
    rows = []
    for impl in section.implementations(workload.op):
        frame = groups.get((workload.key, impl), empty)
        if comparison is not None and impl in comparison.winners:
            rows.append(_compared(section, comparison, impl, frame))
        else:
            rows.append(_from_trials(section, workload, impl, frame, torch_s))
    return rows


def winner_rows(section: Section) -> dict[str, list[WinnerRow]]:
    """By op, in the section's order. An op announced in a header that no workload reached has `untried` rows without a
    workload: nothing announced is silently missing."""
    rows: dict[str, list[WinnerRow]] = {}
    for op in section.ops:
        workloads = section.workloads_of(op)
        rows[op] = [row for workload in workloads for row in _workload_rows(section, workload)]
        if not workloads:
            rows[op] = [
                WinnerRow(
                    None, op, impl, "untried", note="Announced in the run's header; no workload of this op was reached."
                )
                for impl in section.implementations(op)
            ]
    return rows


def fastest_rows(rows: dict[str, list[WinnerRow]]) -> list[WinnerRow]:
    """The best row of every workload that has one: the comparison's, else the fastest provisional."""
    best: dict[str, WinnerRow] = {}
    for row in (row for group in rows.values() for row in group):
        if row.workload is None or row.time is None:
            continue
        held = best.get(row.workload.key)
        if held is None or held.time is None or row.fastest or (not held.fastest and row.time.value < held.time.value):
            best[row.workload.key] = row
    return list(best.values())


def changed_tunables(row: WinnerRow) -> list[tuple[str, str, str, bool]]:
    """(name, default, tuned, changed) of each tunable, the changed first."""
    default = row.default_config or {}
    pairs = [(name, str(default.get(name, "?")), str(value)) for name, value in row.config.items()]
    marked = [
        (name, before, after, row.default_config is not None and before != after) for name, before, after in pairs
    ]
    return sorted(marked, key=lambda item: not item[3])


def describe_ties(row: WinnerRow, shown: int = 2) -> str:
    """`tie with NK=4, NK=6 and 3 more`; empty when the winner stands alone."""
    if not row.ties:
        return ""
    names = [format_config(config) for config in row.ties[:shown]]
    more = len(row.ties) - len(names)
    return "tie with " + "; ".join(names) + (f" and {more} more" if more else "")
