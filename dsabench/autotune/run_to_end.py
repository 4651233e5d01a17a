"""A run's work, and how it ended, written down whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Protocol

from dsabench.autotune.budget import Budget
from dsabench.autotune.run_records import EndReason, run_end
from dsabench.bench.journal import JournalError, JournalWriter
from dsabench.bench.records import End
from dsabench.bench.worker import Worker


class Progressed(Protocol):
    """How far a run came: whether its budget ended it, and what was planned and not done."""

    @property
    def budget_ended(self) -> bool: ...

    @property
    def skipped(self) -> list[str]: ...


def run_to_end(
    work: Callable[[], None], progressed: Progressed, writer: JournalWriter, worker: Worker, budget: Budget
) -> End:
    """Does `work` and journals its end. An interruption ends in a record, not an exception; anything else that `work` raises is
    journaled, where that is still possible, and raised."""

    def end(reason: EndReason, detail: str = "") -> End:
        record = run_end(reason, detail, budget.used, progressed.skipped)
        writer.write(record)
        return record

    try:
        work()
    except KeyboardInterrupt:
        worker.kill()
        return end("interrupted", "stopped by the user; --resume goes on")
    except Exception as error:
        worker.kill()
        with contextlib.suppress(JournalError):
            end("error", f"{type(error).__name__}: {error}")
        raise
    return end("budget" if progressed.budget_ended else "complete")
