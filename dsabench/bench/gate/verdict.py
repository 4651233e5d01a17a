"""From the rows' verdicts to the gate's: one that fails must be able to, and one that measured nothing never passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from dsabench.bench.gate.records import GateResult, GateRow, GateSide, RowVerdict, Verdict

_BY_ROW = (
    (Verdict.REGRESSED, (RowVerdict.SLOWER, RowVerdict.BROKEN)),
    (Verdict.INVALID, (RowVerdict.INVALID, RowVerdict.MISSING)),
    (Verdict.AMBIGUOUS, (RowVerdict.UNCLEAR,)),
)
"""The first that any row gives is the gate's: a proven regression is told whatever else went wrong."""
_ONE_SIDED = (RowVerdict.INVALID, RowVerdict.MISSING, RowVerdict.NEW)


def overall(rows: Sequence[GateRow], allow_missing: bool) -> tuple[Verdict, str]:
    """The verdict and one line why. allow_missing: rows that only the baseline has do not make it INVALID (they are counted in the
    line). Without a single row that both sides have: INVALID."""
    counts = Counter(row.verdict for row in rows)
    words = ", ".join(f"{counts[v]} {v.lower()}" for v in RowVerdict if counts[v])
    if all(row.verdict in _ONE_SIDED for row in rows):
        return Verdict.INVALID, f"nothing was compared{f': {words}' if words else ''}"
    for verdict, by in _BY_ROW:
        found = [v for v in by if counts[v] and not (v is RowVerdict.MISSING and allow_missing)]
        if found:
            return verdict, f"{words} of {len(rows)} rows"
    return Verdict.PASS, f"{words} of {len(rows)} rows"


def failed_gate(mode: Literal["journals", "trees", "static"], why: str, min_effect: float, command: str) -> GateResult:
    """The result of a gate that could not be run at all: its own failure is no regression, and no pass."""
    unknown = GateSide(name="unknown", commit="unknown", versions={}, started="")
    return GateResult(
        mode=mode,
        verdict=Verdict.INVALID,
        reason=why,
        min_effect=min_effect,
        noise_from="",
        baseline=unknown,
        candidate=unknown,
        device=None,
        rows=[],
        notices=[],
        command=command,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        wall_s=0.0,
    )


def sorted_rows(rows: Sequence[GateRow]) -> list[GateRow]:
    """Worst first: by verdict, within one by the seconds lost, most first."""
    order = list(RowVerdict)
    return sorted(rows, key=lambda row: (order.index(row.verdict), -(row.lost_s or 0.0), row.name))
