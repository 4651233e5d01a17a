"""What every gate ends with: its verdict on the terminal, its files, GitHub's annotations and summary, its exit code."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from dsabench.cli.errors import EXIT_INTERRUPTED, CommandError, UsageError, one_line

if TYPE_CHECKING:
    from dsabench.bench.gate.records import GateResult

EXIT_INVALID = 4
MOST_SHOWN = 30
"""Rows on the terminal, the worst; the files hold all."""


def run_gate(
    mode: Literal["journals", "trees", "static"], min_effect: float, outputs: Outputs, call: Callable[[], int]
) -> int:
    """What `call` returns. Whatever goes wrong in it is no regression: the exit code is INVALID's, not 1, and the files say why.
    Raises UsageError for a command line that cannot be followed, and CommandError for an interruption."""
    from dsabench.bench.gate.verdict import failed_gate
    from dsabench.cli.known_errors import known_errors

    try:
        with known_errors():
            return call()
    except UsageError:
        raise
    except Exception as error:
        if getattr(error, "exit_code", None) == EXIT_INTERRUPTED:
            raise
        if not isinstance(error, CommandError) and "--debug" in sys.argv:
            raise
        why = one_line(error)
        if not isinstance(error, CommandError):
            why = f"internal: {type(error).__name__}: {why}; run again with --debug for the traceback"
        print(f"error: {why}", file=sys.stderr)
        outputs.write(failed_gate(mode, why, min_effect, shlex.join(["dsabench", *sys.argv[1:]])))
        return EXIT_INVALID


@dataclass(frozen=True)
class Outputs:
    """out: the folder for the files; github: None where the environment decides."""

    out: Path
    github: bool | None
    as_json: bool

    def write(self, result: GateResult) -> int:
        """Shows and writes the result. Returns the exit code of its verdict, INVALID's where it cannot be written."""
        from dsabench.reports.gate.write import GateOutputError, write_outputs

        try:
            written = write_outputs(result, self.out)
        except GateOutputError as error:
            raise CommandError(str(error), EXIT_INVALID) from error
        if self.as_json:
            print(result.model_dump_json(indent=1))
        else:
            _show(result)
            print(f"written: {', '.join(str(path) for path in written.values())}")
        if self._on_github():
            _tell_github(result, to=sys.stderr if self.as_json else sys.stdout)
        return result.exit_code

    def _on_github(self) -> bool:
        return os.environ.get("GITHUB_ACTIONS") == "true" if self.github is None else self.github


def _tell_github(result: GateResult, to: object) -> None:
    from dsabench.reports.gate.annotations import annotations
    from dsabench.reports.gate.markdown import render_markdown

    for line in annotations(result):
        print(line, file=to)  # type: ignore[call-overload]
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return
    try:
        with open(summary, "a", encoding="utf-8") as file:
            file.write(render_markdown(result))
    except OSError as error:
        raise CommandError(f"cannot write the job's summary {summary}: {error.strerror}", EXIT_INVALID) from error


def _show(result: GateResult) -> None:
    from rich.console import Console

    from dsabench.bench.gate.records import RowVerdict
    from dsabench.bench.gate.verdict import sorted_rows
    from dsabench.cli.gate_table import gate_table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a pipe has no width; nothing is to be cut off in a log
    worst = sorted_rows(result.rows)
    if len(worst) > MOST_SHOWN:  # what did not change asks for nothing
        worst = [row for row in worst if row.verdict is not RowVerdict.SAME]
    if worst:
        console.print(gate_table(worst[:MOST_SHOWN]))
    left = len(result.rows) - len(worst[:MOST_SHOWN])
    if left:
        console.print(f"{left} more rows are in the files", style="dim", highlight=False)
    for notice in result.notices:
        console.print(f"note: {notice}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{result.verdict}: {result.reason}", style="bold", highlight=False, markup=False, soft_wrap=True)
