"""A gate's rows in words, the same in every output. Nothing here is escaped: names and reasons come from others' code."""

from __future__ import annotations

from collections.abc import Mapping

from dsabench.bench.gate.records import Change, GateResult, GateRow, GateSide, RowVerdict
from dsabench.kernels.sizes import format_size
from dsabench.reports.quantities import format_config, format_time, significant

QUIET = (RowVerdict.FASTER, RowVerdict.MENDED, RowVerdict.SAME)
"""Verdicts that ask nothing of the reader."""

Scalar = bool | int | float | str | None


def plain_line(text: str) -> str:
    """One line without what cannot be seen: line breaks, control and direction marks become single spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def clipped(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def workload_words(row: GateRow) -> str:
    """`s_kv=64k b=1 h_q=128`, with the distribution and the seed where they are not `normal` and 0."""
    words = [f"{name}={format_size(value)}" for name, value in row.axes.items()]
    if row.distribution != "normal":
        words.append(f"({row.distribution})")
    if row.seed:
        words.append(f"seed={row.seed}")
    return " ".join(words)


def times_words(row: GateRow) -> str:
    """`52.1 µs → 60.3 µs`; `–` for a side without a time."""
    if row.baseline_s is None and row.candidate_s is None:
        return ""
    return " → ".join("–" if time is None else format_time(time) for time in (row.baseline_s, row.candidate_s))


def ratio_words(row: GateRow) -> str:
    """`1.157× (1.141–1.170)`: to a thousandth, since effects of 1 % are judged."""
    if row.ratio is None:
        return ""
    value, low, high = (
        f"{v:.3f}" if v < 10 else significant(v) for v in (row.ratio.ratio, row.ratio.low, row.ratio.high)
    )
    return f"{value}× ({low}–{high})"


def config_words(row: GateRow) -> str:
    """The config of a row that has one: the candidate's, else the baseline's."""
    config = row.candidate_config if row.candidate_config is not None else row.baseline_config
    return "" if config is None else format_config(config)


def config_change_words(row: GateRow) -> str:
    """`BLOCK_N 64 → 128`: tunables in which the sides' choices differ; empty where a side has none."""
    if row.baseline_config is None or row.candidate_config is None:
        return ""
    return ", ".join(f"{name} {a} → {b}" for name, a, b in _differing(row.baseline_config, row.candidate_config))


def change_words(change: Change) -> str:
    """`registers: 168 → 255`."""
    return f"{change.name}: {_scalar(change.baseline)} → {_scalar(change.candidate)}"


def worst_changes(row: GateRow) -> list[Change]:
    """Those that make the row worse first, else as they came."""
    return sorted(row.changes, key=lambda change: not change.worse)


def differing_versions(result: GateResult) -> list[tuple[str, str, str]]:
    """(package, baseline's version, candidate's version), `–` where a side lacks it."""
    return _differing(result.baseline.versions, result.candidate.versions)


def side_words(side: GateSide) -> str:
    """`main (30f311d0a1b2)`."""
    commit = short_commit(side.commit)
    if side.name.startswith(commit):  # a revision named by its commit
        return commit
    return side.name if commit == "unknown" else f"{side.name} ({commit})"


def short_commit(commit: str) -> str:
    """Twelve digits of a commit's, with its `-dirty`."""
    digits, dash, rest = commit.partition("-")
    return digits[:12] + dash + rest


def place_words(result: GateResult) -> str:
    """`NVIDIA H200`, `sm_90a`: where the gate's facts hold; empty where neither is known."""
    return ", ".join(part for part in (result.device.name if result.device else "", result.arch or "") if part)


def _differing(a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> list[tuple[str, str, str]]:
    names = [*a, *(name for name in b if name not in a)]
    return [(n, _scalar(a.get(n)), _scalar(b.get(n))) for n in names if a.get(n) != b.get(n)]


def _scalar(value: Scalar) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return significant(value, 4) if isinstance(value, float) else str(value)
