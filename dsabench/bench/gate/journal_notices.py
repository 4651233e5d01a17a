"""What else differs between two runs than the code, and what makes a run less than a whole one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dsabench.bench.gate.journal_side import JournalSide

CEILING_DRIFT = 0.05
"""Two ceilings on one quiet machine lie within this."""


def notices_of(before: Sequence[JournalSide], after: JournalSide) -> list[str]:
    """Whole sentences, each once."""
    found = [*_unfinished(after, "candidate")]
    for side in before:
        found += _unfinished(side, "baseline")
        found += _other_runs(side, after)
        found += _drift(side, after)
    return list(dict.fromkeys(found))


def _unfinished(side: JournalSide, name: str) -> Iterator[str]:
    path, end = side.journal.path, side.end
    if side.journal.torn:
        yield f"The {name} {path} ends in a line cut off while being written; it is left out."
    if end is None:
        yield f"The {name} {path} has no end record: its run was killed or is still running."
    elif end.reason != "complete":
        skipped = f"; {len(end.skipped)} things planned were not done" if end.skipped else ""
        yield f"The {name} {path} ended early, by {end.reason}{skipped}."


def _other_runs(before: JournalSide, after: JournalSide) -> Iterator[str]:
    old, new = before.header, after.header
    for name in ("suite", "strategy", "effort", "seed", "budget_s"):
        was, now = getattr(old, name), getattr(new, name)
        if was != now:
            yield f"Other {name.removesuffix('_s')}: {was} in the baseline, {now} in the candidate."
    versions = _differences(old.versions, new.versions)
    if versions:
        yield f"Other versions: {versions}. No row can tell the code's part from theirs."
    details = _differences(old.device.details, new.device.details)
    if details:
        yield f"The device is set up otherwise: {details}."


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    names = [name for name in dict.fromkeys([*before, *after]) if before.get(name) != after.get(name)]
    return ", ".join(f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}" for name in names)


def _drift(before: JournalSide, after: JournalSide) -> Iterator[str]:
    for what, change in ceiling_changes(before, after).items():
        if abs(change) > CEILING_DRIFT:
            yield f"The machine's own {what} changed by {change:+.0%} between the runs: not all is the code's doing."


def ceiling_changes(before: JournalSide, after: JournalSide) -> dict[str, float]:
    """By ceiling, in words, how much higher the later run's is, relative; empty where a run measured none."""
    if not before.journal.ceilings or not after.journal.ceilings:
        return {}
    old, new = before.journal.ceilings[-1], after.journal.ceilings[-1]
    found = {
        f"{name} bandwidth": now.value / old.bandwidth[name].value
        for name, now in new.bandwidth.items()
        if name in old.bandwidth
    }
    found |= {
        f"rate of {name} products": now.value / old.product[name].value
        for name, now in new.product.items()
        if name in old.product
    }
    return {what: ratio - 1.0 for what, ratio in found.items()}
