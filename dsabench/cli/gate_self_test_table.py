"""The table of `dsabench gate --self-test`: a line a slow-down."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from dsabench.bench.gate.self_test import FOUND, MOST_FALSE, Level


def print_self_test(levels: Sequence[Level], smallest: float | None, calibrated: bool, left: int, path: Path) -> None:
    """left: runs that were planned and not made."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for name in ("slowed by", "runs", "REGRESSED", "rows", "called slower (95 %)", "unclear"):
        table.add_column(name, justify="right")
    for level in levels:
        called = "–"
        if level.rows:
            low, high = level.interval
            called = f"{level.slower}: {level.share:.1%} ({low:.1%}-{high:.1%})"
        table.add_row(
            f"{level.slow_by:.0%}" if level.slow_by else "not",
            str(level.runs),
            str(level.regressed),
            str(level.rows),
            called,
            str(level.unclear),
        )
    console.print(table)
    lines = [
        f"false alarms: {'within' if calibrated else 'NOT within'} {MOST_FALSE:.0%} of the rows"
        + (", and no run REGRESSED by them" if calibrated else ", or a run REGRESSED by them"),
        f"smallest slow-down found in {FOUND:.0%} of the rows: {'none' if smallest is None else f'{smallest:.0%}'}",
        *([f"not made: {left} runs; --resume goes on"] if left else []),
        f"runs: {path}",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
