"""`dsabench report`: one HTML file and PNGs from journals alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dsabench.cli.errors import CommandError, UsageError

JSON_SCHEMA = 1

_HELP = """Write report.html (one file, no network) and plots/*.png from what `dsabench tune`, `compare` and `inspect` wrote.

Journals of one device are put together, those of several devices side by side. An interrupted run has a report too. What
`dsabench inspect --out` wrote becomes heat maps of the compiled grid, beside a journal or alone.

Examples:

  dsabench report runs/mine

  dsabench report runs/monday runs/tuesday --out reports/both

  dsabench report runs/today --against runs/monday --out reports/since-monday

  dsabench report runs/mine --json
"""


def report(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Directories that hold a journal.jsonl, or journals.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Where to write; with one DIR, DIR itself is the default.")
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="OLD",
            help="An older journal of the same device, or its directory: what became slower or faster since, and the noise. "
            "Repeatable; runs of one commit count as one. `dsabench gate` is what judges.",
        ),
    ] = None,
    json_output: Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")] = False,
) -> None:
    if out is None:
        if len(directories) > 1:
            raise UsageError("several journals make one report; say where with --out DIR")
        out = directories[0] if directories[0].is_dir() else directories[0].parent
    older = against or []
    for directory in [*directories, *older]:
        if not directory.exists():
            raise UsageError(f"{directory} does not exist; name a directory that `dsabench tune --out` wrote")

    from dsabench.bench.inspection_file import RESULTS_NAME, InspectionFileError
    from dsabench.bench.journal import JOURNAL_NAME, PACKED_NAME, JournalError

    for directory in directories:
        if directory.is_dir() and not any(
            (directory / name).exists() for name in (JOURNAL_NAME, PACKED_NAME, RESULTS_NAME)
        ):
            raise UsageError(
                f"{directory} holds no {JOURNAL_NAME} and no {RESULTS_NAME}; name a directory that `dsabench tune --out` or "
                "`dsabench inspect --out` wrote"
            )

    from dsabench.reports.build import ReportError, build

    try:
        built = build(directories, out, older)
    except (JournalError, InspectionFileError, ReportError) as error:
        raise CommandError(str(error)) from error
    if json_output:
        document = {
            "schema": JSON_SCHEMA,
            "report": str(built.html),
            "plots": [str(path) for path in built.plots],
            "trials": built.trials,
            "by_status": built.by_status,
            "inspected": built.inspected,
            "points": built.points,
        }
        print(json.dumps(document))
        return
    counts = ", ".join(f"{count} {status}" for status, count in built.by_status.items() if count)
    if built.points:
        print(f"{built.points} context lengths of the sparse pipeline against dense attention")
    if built.trials or not (built.inspected or built.points):
        print(f"{built.trials} trials ({counts or 'none finished'})")
    if built.inspected:
        print(f"{built.inspected} configs compiled, not run")
    print(f"report {built.html}")
    for path in built.plots:
        print(f"plot   {path}")


report.__doc__ = _HELP
