"""Journal against journal: two runs on one device, made at different times.

A row's time is its winner's in the interleaved rounds of its workload; where a side has no rounds of it, both sides' default trials
stand in. The interval of a ratio is conservative, [low_c / high_b, high_c / low_b] of the two medians' intervals: two 95 % intervals
hold with 90 % at least, and with more where the runs are independent.

Two runs lie hours apart, and what changed between them besides the code shows in no run alone. So the noise of a row is the largest
of: both comparisons' A/A noise and both medians' half-widths (within the runs); its spread over the baselines where there are
several; the 95th percentile of the gaps of *controls*, rows whose source, config and versions are those of the baseline, where there
are LEAST_CONTROLS of them; with neither of these two, how far the machine's ceilings moved (between the runs).

A row of the same source and versions never counts as slower: it is the machine, or another config that the search came to.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from dsabench.bench.gate.journal_notices import ceiling_changes, notices_of
from dsabench.bench.gate.journal_side import Found, JournalSide, Place, journal_side
from dsabench.bench.gate.journal_verdict import Gap, Pair, gap_between, measured_verdict, unmeasured_verdict
from dsabench.bench.gate.records import GateResult, GateRow, GateSide, Verdict
from dsabench.bench.gate.renamed import Name, renamed
from dsabench.bench.gate.verdict import overall, sorted_rows
from dsabench.bench.journal import Journal

LEAST_CONTROLS = 5
"""Fewer say nothing of the machine."""
CONTROL_QUANTILE = 0.95


def gate_journals(
    baselines: Sequence[Journal], candidate: Journal, min_effect: float, allow_missing: bool, command: str
) -> GateResult:
    """baselines: runs of the same code, one at least; their median counts. min_effect: relative. allow_missing: see `overall`. INVALID
    where the devices differ or a journal is compared with itself. Raises ValueError without a baseline or for a min_effect below 0."""
    if not baselines or min_effect < 0.0:
        raise ValueError(f"a gate needs a baseline and an effect of 0 or more, got {len(baselines)} and {min_effect}")
    begin, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="milliseconds")
    rows: list[GateRow] = []
    notices: list[str] = []
    noise_from = ""
    refusal = _refusal(baselines, candidate)
    if refusal:
        verdict, reason = Verdict.INVALID, refusal
    else:
        rows, notices, noise_from = journal_rows(baselines, candidate, min_effect)
        verdict, reason = overall(rows, allow_missing)
        if verdict in (Verdict.PASS, Verdict.AMBIGUOUS) and all(row.ratio is None for row in rows):
            verdict, reason = Verdict.INVALID, f"no row was measured on both sides: {reason}"
    return GateResult(
        mode="journals",
        verdict=verdict,
        reason=reason,
        min_effect=min_effect,
        noise_from=noise_from,
        baseline=_side(baselines),
        candidate=_side([candidate]),
        device=candidate.headers[-1].device,
        rows=sorted_rows(rows),
        notices=notices,
        command=command,
        started=started,
        wall_s=time.monotonic() - begin,
    )


def _refusal(baselines: Sequence[Journal], candidate: Journal) -> str:
    """Why these journals cannot be compared; "" when they can."""
    runs = {header.run_id for header in candidate.headers}
    for baseline in baselines:
        if baseline.path.resolve() == candidate.path.resolve() or runs & {h.run_id for h in baseline.headers}:
            return f"{candidate.path} would be compared with itself: {baseline.path} holds the same run"
        theirs, ours = baseline.header.device.key, candidate.header.device.key
        if theirs != ours:
            return f"other devices: {theirs} in the baseline, {ours} in the candidate; times hold for one device"
    return ""


def _side(journals: Sequence[Journal]) -> GateSide:
    """Of several the latest run's commit and versions."""
    header = max((journal.headers[-1] for journal in journals), key=lambda header: header.started)
    names = ", ".join(str(journal.path) for journal in journals)
    return GateSide(name=names, commit=header.git_commit, versions=header.versions, started=header.started)


def journal_rows(
    baselines: Sequence[Journal], candidate: Journal, min_effect: float
) -> tuple[list[GateRow], list[str], str]:
    """The rows in the order of the journals, notices, and where the noise is from; see `gate_journals`."""
    before, after = [journal_side(journal) for journal in baselines], journal_side(candidate)
    pairs = _pairs(before, after)
    gaps = {pair.place: gap for pair in pairs if pair.after and (gap := gap_between(pair.before, pair.after))}
    between, between_words = _between(pairs, gaps, before, after)
    rows = [_row(pair, gaps.get(pair.place), between, min_effect, before, after) for pair in pairs]
    notices = notices_of(before, after)
    notices += [
        f"{row.op}: {row.renamed_from} of the baseline is compared with {row.impl} of the candidate: each is alone on its side, of "
        f"the same workloads."
        for row in {(row.op, row.impl): row for row in rows if row.renamed_from}.values()
    ]
    if gaps and not between_words:
        notices.append(
            "How far two runs of the same code lie apart on this machine is not known: the thresholds hold for noise within a run. "
            "Give several baselines, or compare the trees in one job."
        )
    words = ["the A/A noise of both comparisons", "the intervals of both medians", *between_words]
    return rows, notices, f"the largest of {'; '.join(words)}"


def _pairs(before: Sequence[JournalSide], after: JournalSide) -> list[Pair]:
    """In the order of the candidate, then what only baselines have."""
    old_workloads: dict[Name, set[str]] = {}
    for side in before:
        for name, keys in side.workloads_of().items():
            old_workloads.setdefault(name, set()).update(keys)
    names = renamed(old_workloads, after.workloads_of())
    same_versions = all(side.header.versions == after.header.versions for side in before)

    def pair(place: Place, old: str, found: Found | None) -> Pair:
        op, _, key = place
        theirs = tuple(side.rows[op, old, key] for side in before if (op, old, key) in side.rows)
        same = same_versions and found is not None and {f.source for f in theirs} == {found.source} != {""}
        return Pair(place, old, theirs, found, same)

    pairs = []
    for place, found in after.rows.items():
        op, impl, _ = place
        pairs.append(pair(place, names.get((op, impl), (op, impl))[1], found))
    taken = {(p.place[0], p.old, p.place[2]) for p in pairs}
    gone = dict.fromkeys(place for side in before for place in side.rows if place not in taken)
    return pairs + [pair(place, place[1], None) for place in gone]


def _is_control(gap: Gap) -> bool:
    return not gap.how and gap.baseline.config == gap.candidate.config


def _between(
    pairs: Sequence[Pair], gaps: Mapping[Place, Gap], before: Sequence[JournalSide], after: JournalSide
) -> tuple[float, list[str]]:
    """How far two runs of the same code lie apart, relative, for all rows, and where that is from; a row's spread over the baselines
    stands in its gap. Without words nothing is known of it."""
    words = []
    if any(gap.apart > 0.0 for gap in gaps.values()):
        words.append(f"the row's spread over {len(before)} baselines")
    controls = [
        gaps[pair.place] for pair in pairs if pair.place in gaps and pair.same and _is_control(gaps[pair.place])
    ]
    if len(controls) >= LEAST_CONTROLS:
        apart = sorted(max(gap.ratio.ratio, 1.0 / gap.ratio.ratio) - 1.0 for gap in controls)
        between = apart[math.ceil(CONTROL_QUANTILE * len(apart)) - 1]
        words.append(
            f"what 95 % of {len(controls)} rows of unchanged source, config and versions stay within, {between:.1%}"
        )
        return between, words
    if words:
        return 0.0, words
    changes = [abs(change) for side in before for change in ceiling_changes(side, after).values()]
    if not changes:
        return 0.0, []
    few = f"only {len(controls)} rows of unchanged source, config and versions, {LEAST_CONTROLS} are needed"
    return max(changes), [f"how far the machine's ceilings moved, {max(changes):.1%} ({few})"]


def _row(
    pair: Pair,
    gap: Gap | None,
    between: float,
    min_effect: float,
    before: Sequence[JournalSide],
    after: JournalSide,
) -> GateRow:
    known = pair.after or pair.before[-1]
    op, impl, _ = pair.place
    noise = None if gap is None else max(gap.within, gap.apart, between)
    if gap is not None and noise is not None:
        verdict, reason = measured_verdict(pair, gap, noise, min_effect)
    else:
        verdict, reason = unmeasured_verdict(pair, before, after)
    old = [found.timed for found in pair.before if found.timed]
    new = pair.after.timed if pair.after else None
    return GateRow(
        op=op,
        impl=impl,
        axes=known.workload.axes,
        distribution=known.workload.distribution,
        seed=known.workload.seed,
        baseline_config=gap.baseline.config if gap else (old[-1].config if old else None),
        candidate_config=gap.candidate.config if gap else (new.config if new else None),
        renamed_from=pair.old if pair.old != impl and pair.before else None,
        verdict=verdict,
        reason=reason,
        baseline_s=gap.baseline.median_s if gap else (old[-1].median_s if old else None),
        candidate_s=gap.candidate.median_s if gap else (new.median_s if new else None),
        ratio=gap.ratio if gap else None,
        noise=noise,
        threshold=None if noise is None else max(min_effect, noise),
        passes=len(old) + (new is not None),
        rounds=min(gap.baseline.rounds, gap.candidate.rounds) if gap else 0,
        command=known.command,
    )
