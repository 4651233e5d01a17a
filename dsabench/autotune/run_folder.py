"""The folder of a run: held while it lasts, its journal looked at before it is continued."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dsabench.bench.journal import JOURNAL_NAME, Journal, read_journal
from dsabench.bench.records import Header

WORKER_LOG = "worker.log"


class OutputError(Exception):
    """An output directory that cannot be used."""


@contextmanager
def held_folder(out: Path) -> Iterator[None]:
    """Makes the directory and holds it: two runs into one journal would mix. Raises OutputError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        lock = FileLock(out / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise OutputError(f"another dsabench is writing to {out}; choose another --out") from None
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror or error}; choose another --out") from error
    try:
        yield
    finally:
        lock.release()


def existing_journal(path: Path) -> Journal | None:
    """None when there is no journal, or one without a single whole line: its run was killed at birth. Raises JournalError."""
    if not path.is_file() or b"\n" not in path.read_bytes():
        return None
    return read_journal(path)


def journal_header(out: Path) -> Header | None:
    """The header of the journal in `out`, None when there is none. Raises JournalError when it is malformed."""
    journal = existing_journal(out / JOURNAL_NAME)
    return journal.header if journal else None
