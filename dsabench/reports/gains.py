"""What tuning gave in time: each implementation's default config against its tuned one, in seconds a call."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dsabench.bench.records import WorkloadId
from dsabench.kernels.sizes import format_size
from dsabench.reports.figures.movers import Mover
from dsabench.reports.quantities import Span
from dsabench.reports.sections import CONTEXT_AXIS, Section, context_label
from dsabench.reports.winners import WinnerRow


@dataclass(frozen=True)
class Gain:
    """One implementation on one workload. change: tuned less default, below 0 where tuning saved time, with its interval; noise_s:
    changes up to this, either way, are noise; settled: whether the change is beyond it."""

    op: str
    impl: str
    workload: WorkloadId
    default_s: float
    tuned_s: float
    change: Span
    noise_s: float
    settled: bool


def gains(section: Section, rows: Iterable[WinnerRow]) -> list[Gain]:
    """The greatest change first. Of rows that were re-timed interleaved and whose default passed: others have no noise to be held
    against. The change is that of the ratio of medians and its interval, on the tuned config's time; the noise is the comparison's."""
    found = []
    for row in rows:
        if row.state != "compared" or row.workload is None or row.time is None or row.default_time is None:
            continue
        ratio = row.over_default
        if ratio is None or ratio.low is None or ratio.high is None:
            continue
        tuned = row.time.value
        found.append(
            Gain(
                op=row.op,
                impl=row.impl,
                workload=row.workload,
                default_s=row.default_time.value,
                tuned_s=tuned,
                change=Span(tuned * (1 - ratio.value), tuned * (1 - ratio.high), tuned * (1 - ratio.low)),
                noise_s=tuned * section.comparisons[row.workload.key].noise,
                settled=not (row.is_default or row.default_ties or ratio.contains_one),
            )
        )
    return sorted(found, key=lambda gain: -abs(gain.change.value))


def _detail(workload: WorkloadId, met: dict[str, set[int]]) -> str:
    """The context and those other axes in which the op's rows differ."""
    differing = [f"{n}={format_size(v)}" for n, v in workload.axes.items() if n != CONTEXT_AXIS and len(met[n]) > 1]
    return " ".join([context_label(workload), *differing])


def gain_movers(found: Iterable[Gain]) -> list[Mover]:
    """For the figure: those that changed anything; a default that stayed is no mover."""
    found = [gain for gain in found if gain.change.value != 0.0]
    axes: dict[str, dict[str, set[int]]] = {}
    for gain in found:
        for name, value in gain.workload.axes.items():
            axes.setdefault(gain.op, {}).setdefault(name, set()).add(value)
    return [
        Mover(
            label=f"{gain.op}/{gain.impl}",
            detail=_detail(gain.workload, axes[gain.op]),
            change_s=gain.change.value,
            low_s=gain.change.low,
            high_s=gain.change.high,
            noise_s=gain.noise_s,
            tone=("faster" if gain.change.value < 0 else "slower") if gain.settled else "flat",
        )
        for gain in found
    ]
