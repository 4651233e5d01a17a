"""`dsabench compare` without --dense: implementations of each op side by side on a suite."""

from __future__ import annotations

import csv
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsabench.cli.errors import EXIT_ERROR, EXIT_INTERRUPTED, CommandError, UsageError
from dsabench.cli.known_errors import known_errors

if TYPE_CHECKING:
    from dsabench.autotune.budget import Budget
    from dsabench.autotune.progress import Progress
    from dsabench.autotune.side_by_side.rows import Row
    from dsabench.autotune.side_by_side.session import SideBySideRequest, SideBySideResult

DOCUMENT_SCHEMA = 1
ROWS_NAME = "rows.csv"
_DEFAULTS = {"cpu": ("quick", "4m"), "cuda": ("hopper", "8m")}
"""Suite and budget by type of device, those of `tune`."""


def compare_implementations(
    suite: str | None = None,
    op: Sequence[str] | None = None,
    impl: Sequence[str] | None = None,
    context: str | None = None,
    device: str = "auto",
    budget: str | None = None,
    effort: str | None = None,
    seed: int | None = None,
    out: str = "dsabench-compare",
    plugin: Sequence[str] | None = None,
    resume: bool = False,
    allow_busy: bool = False,
    as_json: bool = False,
    begun: float | None = None,
) -> int:
    """The options as the command line gave them, None where it said nothing; begun: time.monotonic() at the start of the command.
    Exit code 0 when implementations of one workload at least were compared."""
    begun = time.monotonic() if begun is None else begun
    with known_errors():
        request = _request(
            suite, op, impl, context, device, budget, effort, seed, out, plugin, resume, allow_busy, begun
        )
        result = _session(request, as_json)
    from dsabench.autotune.side_by_side.rows import rows

    found = rows(result.plan, result.choices, result.outcome)
    table = _write_csv(found, Path(out))
    if as_json:
        print(json.dumps(_document(result, found, table), indent=1))
    else:
        _print_result(result, found, table)
    if result.end.reason == "interrupted":
        return EXIT_INTERRUPTED
    return 0 if result.outcome.finished.comparisons else EXIT_ERROR


def _request(
    suite: str | None,
    op: Sequence[str] | None,
    impl: Sequence[str] | None,
    context: str | None,
    device: str,
    budget: str | None,
    effort: str | None,
    seed: int | None,
    out: str,
    plugin: Sequence[str] | None,
    resume: bool,
    allow_busy: bool,
    begun: float,
) -> SideBySideRequest:
    """With `resume`, what the command line leaves open is as the journal's header says."""
    from dsabench.autotune.budget import Budget, BudgetError, parse_duration
    from dsabench.autotune.run_folder import journal_header
    from dsabench.autotune.side_by_side.session import SideBySideRequest
    from dsabench.bench.device import resolve_device
    from dsabench.bench.effort import EFFORTS
    from dsabench.bench.suites import parse_contexts
    from dsabench.kernels.op import UnknownNameError

    header = journal_header(Path(out)) if resume else None
    if header is not None:
        suite, effort = suite or header.suite, effort or header.effort
        seed = header.seed if seed is None else seed
    effort = effort or "quick"
    if effort not in EFFORTS:
        raise UnknownNameError("effort", effort, list(EFFORTS))
    resolved = resolve_device(device)
    default_suite, default_budget = _DEFAULTS["cpu" if resolved == "cpu" else "cuda"]
    try:
        seconds = parse_duration(budget or default_budget)
    except BudgetError as error:
        raise UsageError(f"budget: {error}") from None
    return SideBySideRequest(
        suite=suite or default_suite,
        ops=tuple(op or ()),
        impls=tuple(impl or ()),
        contexts=parse_contexts(context) if context else None,
        device=resolved,
        budget=Budget(seconds, begun),
        effort=effort,
        seed=seed or 0,
        out=Path(out),
        resume=resume,
        plugins=tuple(plugin or ()),
        command=shlex.join(["dsabench", *sys.argv[1:]]),
        allow_busy=allow_busy,
    )


def _session(request: SideBySideRequest, as_json: bool) -> SideBySideResult:
    from rich.console import Console

    from dsabench.autotune.progress import LiveProgress, PlainProgress
    from dsabench.autotune.side_by_side.session import run_side_by_side

    def make_progress(budget: Budget) -> Progress:
        if as_json:
            return PlainProgress(sys.stderr, budget)
        console = Console()
        return LiveProgress(console, budget) if console.is_terminal else PlainProgress(sys.stdout, budget)

    return run_side_by_side(request, make_progress)


def _print_result(result: SideBySideResult, found: list[Row], table: Path) -> None:
    from rich.console import Console

    from dsabench.autotune.side_by_side.rows import by_op, order_line
    from dsabench.cli.compare_implementations_table import LEGEND, implementations_table, languages_table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a pipe has no width; nothing is to be cut off in a log
    lines = []
    if found:
        console.print(implementations_table(found))
        console.print(LEGEND, style="dim", highlight=False)
    if by_language := languages_table(found):
        console.print(by_language)
    for workload in by_op(result.plan):
        comparison = result.outcome.finished.comparisons.get(workload.key)
        if comparison is not None and len(comparison.candidates) > 2:
            lines.append(f"{workload.op} {workload.label()}: {order_line(comparison)}")
    for row in found:
        if row.trial.status != "PASSED":
            lines.append(f"{row.trial.status} {row.workload.op}/{row.impl} {row.workload.label()}: {row.trial.reason}")
    if result.outcome.skipped:
        lines.append(f"not done: {len(result.outcome.skipped)}, the first: {result.outcome.skipped[0]}")
    lines += [f"ended: {result.end.reason}, {result.end.wall_s:.0f} s", f"journal: {result.journal}", f"rows: {table}"]
    if result.end.reason == "interrupted":
        lines.append(f"interrupted: dsabench compare --out {shlex.quote(str(result.journal.parent))} --resume goes on")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _document(result: SideBySideResult, found: list[Row], table: Path) -> dict[str, Any]:
    from dsabench.autotune.side_by_side.rows import language_documents, pair_documents, row_document

    ceilings = result.outcome.ceilings
    return {
        "schema": DOCUMENT_SCHEMA,
        "command": "compare",
        "mode": "implementations",
        "suite": result.header.suite,
        "end": result.end.reason,
        "wall_s": result.end.wall_s,
        "device": result.header.device.model_dump(),
        "ceilings": ceilings.model_dump(exclude={"kind"}) if ceilings else None,
        "rows": [row_document(row) for row in found],
        "languages": list(language_documents(found)),
        "pairs": list(pair_documents(result.plan, result.outcome)),
        "skipped": result.outcome.skipped,
        "journal": str(result.journal),
        "csv": str(table),
    }


def _write_csv(found: list[Row], out: Path) -> Path:
    """The rows of the document, its nested values as JSON, ratios as three columns. Raises CommandError."""
    from dsabench.autotune.side_by_side.rows import row_document

    path = out / ROWS_NAME
    try:
        with path.open("w", newline="") as file:
            writer: Any = None
            for row in found:
                flat = _flat(row_document(row))
                if writer is None:
                    writer = csv.DictWriter(file, list(flat))
                    writer.writeheader()
                writer.writerow(flat)
    except OSError as error:
        raise CommandError(f"cannot write {path}: {error.strerror or error}; the journal beside it is whole") from error
    return path


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    ratio = document.pop("to_fastest") or {}
    times = {f"to_fastest{suffix}": ratio.get(name) for name, suffix in _RATIO.items()}
    return {k: json.dumps(v) if isinstance(v, dict) else v for k, v in document.items()} | times


_RATIO = {"ratio": "", "low": "_low", "high": "_high"}
