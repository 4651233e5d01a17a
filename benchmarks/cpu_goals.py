"""Holds a run of the `cpu-goals` suite to the goals of the CPU implementations. `make goals` tunes, then calls this.

    python benchmarks/cpu_goals.py DIR     # a directory that `dsabench tune --suite cpu-goals --out DIR` wrote

Ratios are of the tuned `cpu` implementation to the default config of `torch`, measured interleaved in one process; fractions
are of the machine's own measured roofline. Exits 1 when a goal is missed. Timings depend on the machine: this is a benchmark,
no test. The goals are for two cores with AVX-512 BF16.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dsabench.bench.journal import Journal, read_journal
from dsabench.bench.records import Comparison, Status

MEMORY_LIMIT = 64 * 2**20
"""Peak extra memory of a call beyond its output, bytes."""


@dataclass(frozen=True)
class Goal:
    """ratio: times faster than eager torch; fraction: of the roofline, None where there are no products."""

    op: str
    s_kv: int
    ratio: float
    fraction: float | None
    rows: int | None = None


GOALS = (
    Goal("paged_indexer_logits", 128 * 1024, 12, 0.65),
    Goal("indexer_logits", 16 * 1024, 7, 0.80),
    Goal("topk_select", 128 * 1024, 8, None, rows=1),
    Goal("topk_select", 64 * 1024, 8, None, rows=64),
    Goal("sparse_mla_decode", 128 * 1024, 3, 0.50),
    Goal("sparse_mla_prefill", 64 * 1024, 1.5, 0.60),
    Goal("dense_mla_decode", 128 * 1024, 2, 0.75),
)


def find(journal: Journal, goal: Goal) -> Comparison | None:
    for comparison in reversed(journal.comparisons):
        workload = comparison.workload
        rows = goal.rows is None or workload.axes.get("rows") == goal.rows
        if workload.op == goal.op and workload.axes["s_kv"] == goal.s_kv and rows:
            return comparison
    return None


def peak_memory(journal: Journal, comparison: Comparison) -> int | None:
    """The largest peak of the winner's trials."""
    winner = comparison.candidates[comparison.winners["cpu"].winner]
    peaks = [
        trial.peak_extra_bytes
        for trial in journal.trials
        if trial.workload == comparison.workload
        and trial.impl == "cpu"
        and trial.config == winner.config
        and trial.status is Status.PASSED
        and trial.peak_extra_bytes is not None
    ]
    return max(peaks, default=None)


def main(directory: Path) -> int:
    journal = read_journal(directory)
    table = Table("op", "workload", "cpu", "torch", "ratio", "goal", "roofline", "goal", "peak extra", "")
    missed = 0
    for goal in GOALS:
        comparison = find(journal, goal)
        won = comparison.winners.get("cpu") if comparison else None
        if comparison is None or won is None or won.speedup_over_torch is None:
            table.add_row(goal.op, f"s_kv={goal.s_kv}", *[""] * 7, "not measured")
            missed += 1
            continue
        winner = comparison.candidates[won.winner]
        torch_default = next(c for c in comparison.candidates if c.impl == "torch" and c.is_default)
        ratio, peak = won.speedup_over_torch, peak_memory(journal, comparison)
        bound_s = journal.workloads[comparison.workload.key].roofline.bound_s
        fraction = bound_s / winner.median_s
        faults = [
            text
            for wrong, text in (
                (ratio.ratio < goal.ratio, "ratio"),
                (goal.fraction is not None and fraction < goal.fraction, "roofline"),
                (peak is not None and peak > MEMORY_LIMIT, "memory"),
            )
            if wrong
        ]
        missed += bool(faults)
        axes = " ".join(f"{k}={v}" for k, v in comparison.workload.axes.items() if k in ("s_q", "rows", "s_kv", "h_q"))
        table.add_row(
            goal.op,
            axes,
            f"{winner.median_s * 1e3:.3g} ms",
            f"{torch_default.median_s * 1e3:.3g} ms",
            f"{ratio.ratio:.1f}× [{ratio.low:.1f}, {ratio.high:.1f}]",
            f"{goal.ratio:g}×",
            f"{fraction:.0%}",
            f"{goal.fraction:.0%}" if goal.fraction else "–",
            f"{peak / 2**20:.1f} MiB" if peak is not None else "?",
            f"missed: {', '.join(faults)}" if faults else "reached",
        )
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table)
    ceilings = journal.ceilings[-1]
    rates = [f"{name} {rate.value / 1e9:.0f} GFLOP/s" for name, rate in ceilings.product.items()]
    rates += [f"{name} {rate.value / 1e9:.1f} GB/s" for name, rate in ceilings.bandwidth.items()]
    console.print(f"{journal.header.device.name}, {journal.header.device.cores} CPUs; {', '.join(rates)}")
    return 1 if missed else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    raise SystemExit(main(Path(sys.argv[1])))
