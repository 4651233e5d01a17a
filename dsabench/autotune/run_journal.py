"""The journal of a run of trials and comparisons: begun, or gone on with."""

from __future__ import annotations

from pathlib import Path

from dsabench.autotune.outcome import Outcome
from dsabench.autotune.resume import Finished, check_resumable
from dsabench.autotune.run_folder import existing_journal
from dsabench.bench.journal import JOURNAL_NAME, JournalWriter
from dsabench.bench.records import Header


def open_run_journal(out: Path, header: Header, resume: bool) -> tuple[JournalWriter, Outcome]:
    """The writer, and what the journal in `out` holds already. Raises JournalError, or ResumeError when what it holds was measured
    on something else than `header` says."""
    path = out / JOURNAL_NAME
    if not resume:
        return JournalWriter(path), Outcome(Finished())
    journal = existing_journal(path)
    if journal is None:
        return JournalWriter(path, resume_at=0 if path.exists() else None), Outcome(Finished())
    check_resumable(journal, header)
    outcome = Outcome(
        finished=Finished(journal.trials, journal.comparisons),
        ceilings=journal.ceilings[-1] if journal.ceilings else None,
        workloads=dict(journal.workloads),
    )
    return JournalWriter(path, resume_at=journal.whole_bytes), outcome
