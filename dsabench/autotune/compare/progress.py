"""What a comparison shows while it goes: one line that is redrawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
from typing import Protocol, TextIO

from rich.console import Console

from dsabench.autotune.budget import Budget
from dsabench.autotune.progress import format_clock
from dsabench.bench.jobs import Stage


class Progress(Protocol):
    """`now`: what is begun; `stage`: the worker's sign of life; `done`: something measured or missing, in a line."""

    def now(self, text: str) -> None: ...
    def stage(self, stage: Stage) -> None: ...
    def done(self, text: str) -> None: ...
    def close(self) -> None: ...


class PlainProgress:
    def __init__(self, stream: TextIO, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget

    def now(self, text: str) -> None:
        pass

    def stage(self, stage: Stage) -> None:
        pass

    def done(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a closed pipe must not end a run whose results are in the journal
            print(f"[{format_clock(self._budget.used)}] {text}", file=self._stream, flush=True)

    def close(self) -> None:
        pass


class LiveProgress:
    def __init__(self, console: Console, budget: Budget) -> None:
        self._console = console
        self._budget = budget
        self._now = ""
        # Two redraws a second: more would take time from the kernels on a small machine.
        self._status = console.status("starting", refresh_per_second=2)
        self._status.start()

    def _show(self, stage: str) -> None:
        doing = f" ({stage})" if stage else ""
        self._status.update(f"{self._now}{doing}, {format_clock(self._budget.left)} left")

    def now(self, text: str) -> None:
        self._now = text
        self._show("")

    def stage(self, stage: Stage) -> None:
        self._show(stage.text)

    def done(self, text: str) -> None:
        self._console.print(f"[{format_clock(self._budget.used)}] {text}", markup=False, highlight=False)

    def close(self) -> None:
        self._status.stop()
