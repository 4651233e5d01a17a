"""What a gate finds, as strict records: the document of `dsabench gate --json`, and what its other outputs are made from."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from dsabench.bench.records import ConfigValues, DeviceRecord, Ratio, Record

SCHEMA_VERSION = 1


class Verdict(StrEnum):
    """Of the whole gate; see EXIT_CODES."""

    PASS = "PASS"
    REGRESSED = "REGRESSED"
    AMBIGUOUS = "AMBIGUOUS"
    INVALID = "INVALID"


EXIT_CODES = {Verdict.PASS: 0, Verdict.REGRESSED: 1, Verdict.AMBIGUOUS: 3, Verdict.INVALID: 4}
"""2 is a usage error."""


class RowVerdict(StrEnum):
    """Of one row, the candidate against the baseline; in the order in which a reader wants to see them."""

    SLOWER = "SLOWER"
    """by more than its threshold, and measured again; in the static gate: machine code that became worse"""
    BROKEN = "BROKEN"
    """right in the baseline; wrong, failing or impossible to launch in the candidate"""
    INVALID = "INVALID"
    """nothing can be said: the gate's own failure, other inputs, no time left"""
    MISSING = "MISSING"
    """in the baseline and not in the candidate"""
    UNCLEAR = "UNCLEAR"
    """may be slower; the noise allows no verdict"""
    NEW = "NEW"
    """in the candidate and not in the baseline: nothing to compare with"""
    FASTER = "FASTER"
    MENDED = "MENDED"
    """failing in the baseline, right in the candidate"""
    SAME = "SAME"


class Change(Record):
    """One static fact that differs between baseline and candidate. name: `spills in the main loop`, `registers`, `HGMMA` …"""

    name: str
    baseline: bool | int | float | str | None
    candidate: bool | int | float | str | None
    worse: bool
    """it alone makes the row SLOWER or BROKEN; false: said, not judged"""


class GateRow(Record):
    """One implementation on one workload (static gate: one config of it)."""

    op: str
    impl: str
    axes: dict[str, int]
    distribution: str
    seed: int
    baseline_config: ConfigValues | None
    candidate_config: ConfigValues | None
    """as each side chooses it; None where that side has no such row"""
    renamed_from: str | None = None
    """the implementation's name in the baseline"""
    verdict: Annotated[RowVerdict, Field(strict=False)]
    reason: str
    """one line for people"""
    baseline_s: float | None = None
    candidate_s: float | None = None
    """median seconds of a call; between trees the candidate's is the baseline's times the ratio, which is found round by round"""
    ratio: Ratio | None = None
    """candidate time / baseline time: above 1 is slower"""
    noise: float | None = None
    """relative: how far two measurements of the same code on this row were apart"""
    threshold: float | None = None
    """relative: max(stated effect, noise); a row slower by more is SLOWER"""
    passes: int = 0
    """times it was measured, each with processes of its own"""
    rounds: int = 0
    """interleaved rounds in all of them"""
    changes: list[Change] = Field(default_factory=list)
    """static gate only"""
    command: str = ""
    """measures or compiles this row again"""

    @property
    def name(self) -> str:
        return f"{self.op}/{self.impl}"

    @property
    def lost_s(self) -> float | None:
        """Seconds a call takes longer than in the baseline; negative: less."""
        if self.baseline_s is None or self.candidate_s is None:
            return None
        return self.candidate_s - self.baseline_s


class GateSide(Record):
    """Where one side comes from. name: a path, a git revision; commit: with `-dirty`, `unknown` outside a checkout."""

    name: str
    commit: str
    versions: dict[str, str]
    started: str
    """of its measurement, ISO 8601, UTC; empty where it has none"""


class GateResult(Record):
    kind: Literal["gate"] = "gate"
    schema_version: int = SCHEMA_VERSION
    mode: Literal["journals", "trees", "static"]
    verdict: Annotated[Verdict, Field(strict=False)]
    reason: str
    """one line for people"""
    min_effect: float
    """relative: slow-downs up to this are no concern; the user's"""
    noise_from: str
    """how the rows' noise was found, in words; empty in the static gate"""
    baseline: GateSide
    candidate: GateSide
    device: DeviceRecord | None
    arch: str | None = None
    """what was compiled for, in the static gate"""
    rows: list[GateRow]
    notices: list[str]
    """what a reader must know besides: a drifting machine, other versions, rows left out"""
    command: str
    started: str
    """ISO 8601, UTC"""
    wall_s: float

    def counts(self) -> dict[RowVerdict, int]:
        """By verdict, in the order of RowVerdict, zeros too."""
        found = Counter(row.verdict for row in self.rows)
        return {verdict: found[verdict] for verdict in RowVerdict}

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]
