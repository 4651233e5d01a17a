"""What a run shows while it goes: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dsabench.autotune.budget import Budget
from dsabench.bench.jobs import Stage
from dsabench.bench.records import Comparison, Status, Trial
from dsabench.kernels.implementation import format_config
from dsabench.kernels.workload import Workload


class Progress(Protocol):
    """Told of everything as it happens."""

    def phase(self, text: str) -> None: ...
    def current(self, workload: Workload, impl: str, what: str) -> None: ...
    def stage(self, stage: Stage) -> None: ...
    def planned(self, trials: int) -> None: ...
    def trial(self, trial: Trial) -> None: ...
    def confirmed(self, comparison: Comparison) -> None: ...
    def note(self, text: str) -> None: ...
    def close(self) -> None: ...


def format_seconds(seconds: float) -> str:
    """Three digits and a unit: `6.40 ms`."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def format_clock(seconds: float) -> str:
    seconds = max(0.0, seconds)
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


class PlainProgress:
    """One line an event that matters: phases, failures, and the winner of each workload."""

    def __init__(self, stream: TextIO, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self._trials = 0

    def _line(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a closed pipe must not end a run whose results are in the journal
            print(f"[{format_clock(self._budget.used)}] {text}", file=self._stream, flush=True)

    def phase(self, text: str) -> None:
        self._line(f"{text} (left {format_clock(self._budget.left)}, {self._trials} trials done)")

    def current(self, workload: Workload, impl: str, what: str) -> None:
        pass

    def stage(self, stage: Stage) -> None:
        pass

    def planned(self, trials: int) -> None:
        pass

    def trial(self, trial: Trial) -> None:
        self._trials += 1
        if trial.status not in (Status.PASSED, Status.PRUNED):
            self._line(f"{trial.status} {trial.op}/{trial.impl} {format_config(trial.config)}: {trial.reason}")

    def confirmed(self, comparison: Comparison) -> None:
        won = comparison.winners[comparison.best_impl]
        best = comparison.candidates[won.winner]
        self._line(
            f"{comparison.workload.op} {axes_label(comparison)}: {comparison.best_impl} {format_seconds(best.median_s)}, "
            f"{best.roofline_fraction:.0%} of the roofline, {format_config(best.config)}"
        )

    def note(self, text: str) -> None:
        self._line(text)

    def close(self) -> None:
        pass


def axes_label(comparison: Comparison) -> str:
    from dsabench.kernels.sizes import format_size

    return " ".join(f"{name}={format_size(value)}" for name, value in comparison.workload.axes.items())


class LiveProgress:
    """A few lines that are redrawn twice a second; more often would take time from the kernels on a small machine."""

    def __init__(self, console: Console, budget: Budget) -> None:
        self._budget = budget
        self._phase = ""
        self._where = ""
        self._stage = ""
        self._pair = ("", "")
        self._default_s: float | None = None
        self._best: Trial | None = None
        self._planned = 0
        self._counts: Counter[Status] = Counter()
        self._last_winner = ""
        self._note = ""
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=2, transient=True)
        self._live.start()

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 2))
        counts = ", ".join(f"{n} {status}" for status, n in sorted(self._counts.items()))
        left = f", {self._planned} left here" if self._planned else ""
        rows = [
            ("phase", self._phase),
            ("tuning", f"{self._where} {self._stage}".strip()),
            ("trials", f"{sum(self._counts.values())} done{left}" + (f" ({counts})" if counts else "")),
            ("best here", self._best_text()),
            ("last winner", self._last_winner),
            ("time", f"{format_clock(self._budget.used)} used, {format_clock(self._budget.left)} left"),
        ]
        if self._note:
            rows.append(("note", self._note))
        for name, value in rows:
            table.add_row(Text(name, style="bold"), Text(value, overflow="ellipsis", no_wrap=True))
        return Group(table)

    def _best_text(self) -> str:
        if self._best is None or self._best.timing is None:
            return ""
        median = self._best.timing.median_s
        gain = f", {self._default_s / median:.2f}× the default" if self._default_s else ""
        return (
            f"{format_seconds(median)}, {self._best.roofline_fraction or 0:.0%} of the roofline{gain}: "
            f"{format_config(self._best.config)}"
        )

    def phase(self, text: str) -> None:
        self._phase = text

    def current(self, workload: Workload, impl: str, what: str) -> None:
        self._where = f"{workload.op}{'/' + impl if impl else ''} {workload.label()}"
        self._stage = what
        if (workload.key, impl) != self._pair:
            self._pair, self._best, self._default_s = (workload.key, impl), None, None

    def stage(self, stage: Stage) -> None:
        self._stage = f"({stage.text})"

    def planned(self, trials: int) -> None:
        self._planned = trials

    def trial(self, trial: Trial) -> None:
        self._counts[trial.status] += 1
        if trial.timing is None or trial.status is not Status.PASSED:
            return
        if trial.is_default:
            self._default_s = trial.timing.median_s
        if self._best is None or self._best.timing is None or trial.timing.median_s < self._best.timing.median_s:
            self._best = trial

    def confirmed(self, comparison: Comparison) -> None:
        best = comparison.candidates[comparison.winners[comparison.best_impl].winner]
        self._last_winner = (
            f"{comparison.workload.op} {axes_label(comparison)}: {comparison.best_impl} {format_seconds(best.median_s)}"
        )

    def note(self, text: str) -> None:
        self._note = f"{text} ({time.strftime('%H:%M:%S')})"

    def close(self) -> None:
        self._live.stop()
