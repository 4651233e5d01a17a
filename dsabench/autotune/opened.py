"""What every run begins with: its folder held, its progress shown, its device claimed, its journal opened."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from dsabench.autotune.budget import Budget
from dsabench.autotune.resume import check_resumable
from dsabench.autotune.run_folder import WORKER_LOG, existing_journal, held_folder
from dsabench.bench.claim import claimed_worker
from dsabench.bench.jobs import Stage
from dsabench.bench.journal import JOURNAL_NAME, Journal, JournalWriter, refuse_existing
from dsabench.bench.records import Header
from dsabench.bench.worker import Worker


@dataclass(frozen=True)
class Opening:
    """device: as `resolve_device` returns it; command: what others are told who want the folder or the device."""

    out: Path
    resume: bool
    device: str
    command: str
    budget: Budget
    plugins: tuple[str, ...] = ()
    allow_busy: bool = False


class Shown(Protocol):
    """What a worker's signs of life are shown by."""

    def stage(self, stage: Stage) -> None: ...

    def close(self) -> None: ...


_Progress = TypeVar("_Progress", bound=Shown)


@contextlib.contextmanager
def opened_worker(opening: Opening, make_progress: Callable[[Budget], _Progress]) -> Iterator[tuple[Worker, _Progress]]:
    """Raises OutputError, JournalError (a journal that is there already) and GpuBusyError, before a worker takes its seconds to
    start."""
    with held_folder(opening.out), contextlib.ExitStack() as stack:
        if not opening.resume:
            refuse_existing(opening.out / JOURNAL_NAME)
        progress = make_progress(opening.budget)
        stack.callback(progress.close)
        worker = stack.enter_context(
            claimed_worker(
                opening.device,
                opening.out / WORKER_LOG,
                opening.command,
                opening.plugins,
                progress.stage,
                opening.allow_busy,
            )
        )
        yield worker, progress


@contextlib.contextmanager
def opened_journal(out: Path, header: Header, resume: bool) -> Iterator[tuple[JournalWriter, Journal | None]]:
    """The writer, with `header` written, and what the journal in `out` held already. Raises JournalError, or ResumeError when that
    was measured on something else than `header` says."""
    path = out / JOURNAL_NAME
    journal = existing_journal(path) if resume else None
    if journal is not None:
        check_resumable(journal, header)
        writer = JournalWriter(path, resume_at=journal.whole_bytes)
    else:
        writer = JournalWriter(path, resume_at=0 if resume and path.exists() else None)
    with writer:
        writer.write(header)
        yield writer, journal
