"""The table of `dsabench gate`: a line a row, the worst first."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from dsabench.bench.gate.records import GateRow, RowVerdict
from dsabench.reports.gate.words import config_words, plain_line, ratio_words, times_words, workload_words

_STYLES = {
    RowVerdict.SLOWER: "bold red",
    RowVerdict.BROKEN: "bold red",
    RowVerdict.INVALID: "red",
    RowVerdict.MISSING: "red",
    RowVerdict.UNCLEAR: "yellow",
    RowVerdict.FASTER: "green",
    RowVerdict.MENDED: "green",
}


def gate_table(rows: Sequence[GateRow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("verdict", no_wrap=True)
    table.add_column("row", overflow="fold")
    timed = any(row.ratio is not None for row in rows)
    if timed:
        for name in ("baseline → candidate", "ratio (95 %)", "noise", "passes"):
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in rows:
        words = [f"{row.op}/{row.impl}", workload_words(row)]
        if not timed:
            words.append(config_words(row))
        cells = [Text(row.verdict, style=_STYLES.get(row.verdict, "")), Text(plain_line(" ".join(words)))]
        if timed:
            noise = "" if row.noise is None else f"{row.noise:.1%}"
            cells += [Text(times_words(row)), Text(ratio_words(row)), Text(noise), Text(str(row.passes or ""))]
        table.add_row(*cells, Text(plain_line(row.reason)))
    return table
