"""Holds journals of the `hopper` suite to the floors of the Hopper kernels.

    python benchmarks/hopper_goals.py DIR…     # directories that `dsabench tune --device cuda --out DIR` wrote

Every figure is of the fastest implementation on a workload, as confirmed by interleaved rounds; rates are of the work that cannot be
avoided (masked entries are none). Exits 1 when a floor is missed or was not measured. Published figures stand beside them: other
machines, often without shapes; they are no part of the verdict.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dsabench.bench.journal import Journal, read_journal
from dsabench.bench.records import Candidate, Ceilings, Comparison, WorkloadRecord


@dataclass(frozen=True)
class Floor:
    """axes: those that name the workload; figure: from its record, its time in seconds and the ceilings, in `unit`; floor: the least
    that will do; published: what others say, with the chip."""

    op: str
    axes: dict[str, int]
    what: str
    unit: str
    figure: Callable[[WorkloadRecord, float, Ceilings], float]
    floor: float
    published: str


def _tflops(work: WorkloadRecord, seconds: float, ceilings: Ceilings) -> float:
    return work.flops / seconds / 1e12


def _of_fp8(work: WorkloadRecord, seconds: float, ceilings: Ceilings) -> float:
    return 100.0 * work.flops / seconds / ceilings.product["fp8"].value


def _of_copy(work: WorkloadRecord, seconds: float, ceilings: Ceilings) -> float:
    return 100.0 * work.compulsory_bytes / seconds / ceilings.bandwidth["copy"].value


def _of_one_read(work: WorkloadRecord, seconds: float, ceilings: Ceilings) -> float:
    """Reading the logits once, as percent of the time taken: within a factor of two is 50 %."""
    axes = work.workload.axes
    return 100.0 * axes["rows"] * axes["s_kv"] * 4 / ceilings.bandwidth["read"].value / seconds


K = 1024
FLOORS = (
    Floor(
        "indexer_logits", {"s_q": 4096, "s_kv": 64 * K}, "of the measured fp8 product rate", "%", _of_fp8, 60.0, "none published"
    ),
    Floor(
        "sparse_mla_prefill", {"s_q": 4096, "h_q": 128, "s_kv": 64 * K}, "products", "TFLOPS", _tflops, 400.0,
        "640 (FlashMLA, H800), 600 and 455 (TileLang)",
    ),
    Floor(
        "sparse_mla_decode", {"b": 128, "s_q": 2, "h_q": 128, "topk": 2048}, "products", "TFLOPS", _tflops, 250.0,
        "410 (FlashMLA, H800)",
    ),
    Floor(
        "dense_mla_decode", {"b": 128, "s_q": 1, "h_q": 16}, "of the measured copy bandwidth", "%", _of_copy, 85.0,
        "3000 GB/s (FlashMLA, H800)",
    ),
    Floor(
        "topk_select", {"rows": 64, "s_kv": 128 * K, "k": 2048}, "of reading the logits once", "%", _of_one_read, 50.0,
        "21.8 µs at 4 rows (vLLM, unnamed chip)",
    ),
)  # fmt: skip


def find(journals: Sequence[Journal], floor: Floor) -> tuple[Journal, Comparison] | None:
    for journal in journals:
        for comparison in reversed(journal.comparisons):
            axes = comparison.workload.axes
            if comparison.workload.op == floor.op and floor.axes.items() <= axes.items():
                return journal, comparison
    return None


def fastest(comparison: Comparison) -> Candidate:
    return comparison.candidates[comparison.winners[comparison.best_impl].winner]


def main(directories: Sequence[Path]) -> int:
    journals = [read_journal(directory) for directory in directories]
    table = Table("op", "workload", "impl", "time", "figure", "floor", "published", "")
    missed = 0
    for floor in FLOORS:
        label = " ".join(f"{name}={value}" for name, value in floor.axes.items())
        wanted = f"{floor.floor:g} {floor.unit}"
        found = find(journals, floor)
        if found is None:
            table.add_row(floor.op, label, "", "", floor.what, wanted, floor.published, "not measured")
            missed += 1
            continue
        journal, comparison = found
        best = fastest(comparison)
        try:
            figure = floor.figure(journal.workloads[comparison.workload.key], best.median_s, journal.ceilings[-1])
        except KeyError as error:
            table.add_row(floor.op, label, best.impl, "", floor.what, wanted, floor.published, f"no ceiling {error}")
            missed += 1
            continue
        reached = figure >= floor.floor
        missed += not reached
        table.add_row(
            floor.op,
            label,
            best.impl,
            f"{best.median_s * 1e6:.4g} µs",
            f"{figure:.4g} {floor.unit} {floor.what}",
            wanted,
            floor.published,
            "reached" if reached else "missed",
        )
    console = Console(width=None if Console().is_terminal else 180)
    console.print(table)
    for name in dict.fromkeys(journal.header.device.name for journal in journals):
        console.print(name, highlight=False)
    return 1 if missed else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    raise SystemExit(main([Path(word) for word in sys.argv[1:]]))
