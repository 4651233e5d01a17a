"""`dsabench export`: results in other tools' forms, from journals and tuned tables."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dsabench.cli.errors import CommandError, UsageError

if TYPE_CHECKING:
    from dsabench.bench.journal import Journal
    from dsabench.reports.export.exported import Exported

DOCUMENT_SCHEMA = 1


class Format(StrEnum):
    SERVING = "serving"
    FLASHINFER = "flashinfer"
    CSV = "csv"
    BENCHMARK = "benchmark"


_HELP = """Write results as other tools take them: from journals, measuring nothing.

serving: JSON files by shape and device name, as vLLM and SGLang keep tuned configs. Without a SOURCE the table that the library
uses on this device.

flashinfer: a flashinfer-bench dataset of definitions, solutions, workloads and traces.

csv: the winners as one flat table; with --trials every trial.

benchmark: github-action-benchmark's customSmallerIsBetter, for dashboards on GitHub pages.

Examples:

  dsabench export --format serving --out tuned-configs

  dsabench export runs/mine --format serving --also-for "NVIDIA H20-3e"

  dsabench export runs/mine --format flashinfer --out flashinfer-trace

  dsabench export runs/mine runs/other --format csv --trials --out trials.csv

  dsabench export runs/mine --format benchmark --out benchmark.json
"""

_FILES = {Format.CSV: "winners.csv", Format.BENCHMARK: "benchmark.json"}


def export(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(metavar="SOURCE", help="Journals (also .gz), or directories that hold a journal.jsonl."),
    ] = None,
    format: Annotated[Format | None, typer.Option("--format", help="What to write; see above.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Directory to write in (dsabench-export/FORMAT); of csv and benchmark also the file itself (.csv, .json). "
            "Other files there stay.",
        ),
    ] = None,
    trials: Annotated[bool, typer.Option("--trials", help="csv: every trial, not only the winners.")] = False,
    also_for: Annotated[
        list[str] | None,
        typer.Option(
            "--also-for",
            metavar="DEVICE",
            help="serving: the same files once more under a sibling's name, unmeasured there; may be repeated.",
        ),
    ] = None,
    largest: Annotated[
        str | None,
        typer.Option("--largest", help="flashinfer: leave out workloads with more bytes of inputs than this (1024m)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
) -> None:
    if format is None:
        raise UsageError(f"say what to write with --format {'|'.join(Format)}")
    for given, name, needed in (
        (trials, "--trials", Format.CSV),
        (also_for, "--also-for", Format.SERVING),
        (largest, "--largest", Format.FLASHINFER),
    ):
        if given and format is not needed:
            raise UsageError(f"{name} is for --format {needed}, not {format}")
    if not sources and format is not Format.SERVING:
        raise UsageError(f"--format {format} needs a SOURCE: a directory that `dsabench tune` or `compare` wrote")

    from dsabench.bench.journal import JournalError
    from dsabench.reports.export.exported import ExportError

    target = _target(format, out, trials)
    try:
        done = _export(format, _read(sources or []), target, trials, also_for or [], _bytes(largest))
    except (JournalError, ExportError) as error:
        raise CommandError(str(error)) from error
    _say(format, target, done, as_json)


export.__doc__ = _HELP


def _bytes(text: str | None) -> int:
    from dsabench.kernels.sizes import parse_size

    try:
        return parse_size(text or "1024m")
    except ValueError as error:
        raise UsageError(f"--largest: {error}") from error


def _target(format: Format, out: Path | None, trials: bool) -> Path:
    """The folder, of csv and benchmark the file."""
    base = out or Path("dsabench-export") / format
    if format not in _FILES:
        if base.is_file():
            raise UsageError(f"--out {base} is a file; {format} writes into a directory")
        return base
    name = "trials.csv" if trials else _FILES[format]
    return base if base.suffix == Path(name).suffix and not base.is_dir() else base / name


def _read(sources: list[Path]) -> list[Journal]:
    from dsabench.bench.journal import JOURNAL_NAME, read_journal

    for source in sources:
        if not source.exists():
            raise UsageError(f"{source} does not exist; name a directory that `dsabench tune --out` wrote")
        if source.is_dir() and not (source / JOURNAL_NAME).exists():
            raise UsageError(f"{source} holds no {JOURNAL_NAME}; name a directory that `dsabench tune --out` wrote")
    # One file named twice is one journal.
    paths = {(source / JOURNAL_NAME if source.is_dir() else source).resolve(): source for source in sources}
    return [read_journal(path) for path in paths.values()]


def _export(
    format: Format, journals: list[Journal], target: Path, trials: bool, also_for: list[str], largest: int
) -> Exported:
    if format is Format.SERVING:
        from dsabench.reports.export.serving import write_serving
        from dsabench.reports.export.tuned import this_device, tuned_of_journals, tuned_of_tables

        found, left_out = tuned_of_journals(journals) if journals else tuned_of_tables(*this_device())
        if left_out and not found:
            more = f" (and {len(left_out) - 1} more)" if len(left_out) > 1 else ""
            raise CommandError(f"nothing to export: {left_out[0].what}: {left_out[0].reason}{more}")
        done = write_serving(found, target, also_for)
        done.left_out = left_out + done.left_out
        return done
    if format is Format.FLASHINFER:
        from dsabench.reports.export.flashinfer.dataset import write_dataset

        return write_dataset(journals, target, largest)
    if format is Format.CSV:
        from dsabench.reports.export.csv_table import write_trials_csv, write_winners_csv

        return (write_trials_csv if trials else write_winners_csv)(journals, target)
    from dsabench.reports.export.benchmark import write_benchmark

    return write_benchmark(journals, target)


_SHOWN = 12


def _say(format: Format, target: Path, done: Exported, as_json: bool) -> None:
    if as_json:
        document = {
            "schema": DOCUMENT_SCHEMA,
            "command": "export",
            "format": format.value,
            "out": str(target),
            "files": [str(path) for path in done.files],
            "rows": done.rows,
            "left_out": [{"what": each.what, "reason": each.reason} for each in done.left_out],
        }
        print(json.dumps(document))
        return
    unit = {
        Format.SERVING: "tuned configs",
        Format.FLASHINFER: "traces",
        Format.CSV: "rows",
        Format.BENCHMARK: "entries",
    }[format]
    files = "1 file" if len(done.files) == 1 else f"{len(done.files)} files"
    print(f"{done.rows} {unit} in {files}: {target}")
    for each in done.left_out[:_SHOWN]:
        print(f"left out: {each.what}: {each.reason}")
    if len(done.left_out) > _SHOWN:
        print(f"left out: {len(done.left_out) - _SHOWN} more; --json names all")
