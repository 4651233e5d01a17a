"""`python -m dsabench.bench.ledger_update JOURNAL …`: enters what GPU journals prove into the ledger of the source tree.

The journals must stand where they are committed, under results/ beside the package.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dsabench.bench.journal import Journal, JournalError, read_journal
from dsabench.bench.records import Status, Trial
from dsabench.kernels.ledger import LEDGER_PATH, LedgerError, Verification, needs_hardware, read_ledger, write_ledger
from dsabench.kernels.registry import get_implementation, implementation_names, op_names

ROOT = LEDGER_PATH.parents[2]


class ProofError(Exception):
    """A journal that proves nothing; the message says why."""


def proved_sources(journal: Journal) -> set[tuple[str, str, str]]:
    """(op, impl, source) of every kernel source that a journal proves: on a GPU, at least one trial of it passed its check and
    none was wrong. Empty for a journal from a CPU, the interpreter's included."""
    if any(header.device.type != "cuda" for header in journal.headers):
        return set()
    passed = {
        _source(t) for t in journal.trials if t.status is Status.PASSED and t.check is not None and t.check.passed
    }
    wrong = {_source(t) for t in journal.trials if t.status is Status.INCORRECT}
    return passed - wrong


def _source(trial: Trial) -> tuple[str, str, str]:
    return trial.op, trial.impl, trial.source


def verifications(journal: Journal, where: str) -> list[Verification]:
    """The ledger's entries for a journal that is committed as `where` (under results/): one for each proved source of an
    implementation of ours that needs hardware. Raises ProofError when there is none."""
    header = journal.header
    if header.device.type != "cuda":
        raise ProofError(f"{where} is from {header.device.name}: only a journal from a GPU proves a kernel")
    proved = sorted(p for p in proved_sources(journal) if _is_ours(p[0], p[1]))
    if not proved:
        raise ProofError(f"{where} has no source of a GPU kernel with a passing trial and none that was INCORRECT")
    return [
        Verification(
            source=source,
            op=op,
            impl=impl,
            device=header.device.name,
            date=header.started[:10],
            journal=where,
            versions=dict(header.versions),
        )
        for op, impl, source in proved
    ]


def _is_ours(op: str, impl: str) -> bool:
    return op in op_names() and impl in implementation_names(op) and needs_hardware(get_implementation(op, impl))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dsabench.bench.ledger_update", description=__doc__)
    parser.add_argument("journal", nargs="+", type=Path, help="journal.jsonl or journal.jsonl.gz under results/")
    paths = parser.parse_args(arguments).journal
    try:
        entries = list(read_ledger(LEDGER_PATH))
        added: list[Verification] = []
        for path in paths:
            resolved = path.resolve()
            if not resolved.is_relative_to(ROOT / "results"):
                raise ProofError(f"{path} is not under {ROOT / 'results'}: a proof is a committed journal")
            where = resolved.relative_to(ROOT).as_posix()
            added += [v for v in verifications(read_journal(resolved), where) if v not in entries + added]
        write_ledger(LEDGER_PATH, entries + added)
    except (JournalError, LedgerError, ProofError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for entry in added:
        print(f"{entry.op}/{entry.impl} {entry.source}: {entry.device}, {entry.date}, {entry.journal}")
    print(f"{len(added)} added, {len(entries) + len(added)} in {LEDGER_PATH}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
