"""Do two runs on one machine name the same winners?

    python benchmarks/agreement.py DIR DIR     # directories that `dsabench tune --out DIR` wrote

For every workload and implementation that both confirmed: `same` config, `tie` (one run counts the other's winner among the configs
that tie with its own, or cannot tell them apart by its interval), or `differ`. Exits 1 when any differ, 2 when the runs cannot be
held against each other.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dsabench.bench.journal import read_journal
from dsabench.bench.records import Comparison
from dsabench.kernels.implementation import config_key, format_config


def ties(comparison: Comparison, impl: str) -> set[str]:
    """The configs that this comparison cannot tell from its winner, the winner among them."""
    won = comparison.winners[impl]
    return {config_key(comparison.candidates[i].config) for i in (won.winner, *won.ties)}


def verdict(one: Comparison, other: Comparison, impl: str) -> str:
    first, second = (config_key(c.candidates[c.winners[impl].winner].config) for c in (one, other))
    if first == second:
        return "same"
    return "tie" if second in ties(one, impl) or first in ties(other, impl) else "differ"


def main(left: Path, right: Path) -> int:
    console = Console(width=None if Console().is_terminal else 200)
    journals = [read_journal(left), read_journal(right)]
    keys = {journal.header.device.key for journal in journals}
    if len(keys) > 1:
        console.print(f"different devices: {', '.join(sorted(keys))}", style="red")
        return 2
    by_workload = [{c.workload.key: c for c in journal.comparisons} for journal in journals]
    table = Table("workload", "impl", "first", "second", "")
    counts: Counter[str] = Counter()
    for key, one in by_workload[0].items():
        other = by_workload[1].get(key)
        for impl in one.winners:
            if other is None or impl not in other.winners:
                counts["in one run only"] += 1
                continue
            found = verdict(one, other, impl)
            counts[found] += 1
            if found != "same":
                configs = [format_config(c.candidates[c.winners[impl].winner].config) for c in (one, other)]
                axes = " ".join(f"{name}={value}" for name, value in one.workload.axes.items())
                table.add_row(f"{one.workload.op} {axes}", impl, *configs, found)
    if table.row_count:
        console.print(table)
    console.print(
        ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing in common", highlight=False
    )
    if not set(counts) & {"same", "tie", "differ"}:
        return 2
    return 1 if counts["differ"] else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
