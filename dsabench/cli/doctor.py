"""`dsabench doctor`: what is here, what can and cannot run, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from dsabench.cli.errors import EXIT_ERROR, CommandError, UsageError

if TYPE_CHECKING:
    from dsabench.bench.checkup import Finding
    from dsabench.bench.selfcheck import SelfCheck

DOCUMENT_SCHEMA = 1
MEASURE_TIMEOUT_S = 300.0

_HELP = """Say what device, packages and tuned tables are here, what can and cannot run, and what would help.

Exits 0 whatever it finds: a laptop without a GPU is a healthy patient.

With --measure it also measures the measuring, for a quarter of a minute on a quiet machine: whether a known duration is timed
right, whether cold inputs are cold, whether zeros run faster than random data, how far a call's times differ from themselves.
Exits 1 when a known duration is timed wrong: then no other time can be trusted.

Examples:

  dsabench doctor

  dsabench doctor --measure

  dsabench doctor --json
"""


def doctor(
    measure: Annotated[bool, typer.Option("--measure", help="Check the measuring itself on this device.")] = False,
    device: Annotated[str, typer.Option(help="What --measure checks: auto, cpu or cuda[:i].")] = "auto",
    allow_busy: Annotated[bool, typer.Option("--allow-busy", help="--measure on a GPU that others use.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
) -> int:
    from dsabench.bench.checkup import examine

    findings = examine()
    name, checks = _measured(device, allow_busy) if measure else ("", None)
    if as_json:
        print(json.dumps(_document(findings, name, checks), indent=1))
    else:
        _print(findings, name, checks)
    if checks is None:
        return 0
    from dsabench.bench.selfcheck import spins_right

    return 0 if spins_right(checks) else EXIT_ERROR


doctor.__doc__ = _HELP


def _measured(device: str, allow_busy: bool) -> tuple[str, list[SelfCheck]]:
    """In a worker, as trials are."""
    import shlex
    import sys
    import tempfile
    from pathlib import Path

    from dsabench.bench.claim import claimed_worker
    from dsabench.bench.device import DeviceError, resolve_device
    from dsabench.bench.jobs import SelfCheckJob, SelfChecks
    from dsabench.bench.worker import JobFailed, WorkerDied, WorkerStartError, WorkerTimeout

    command = shlex.join(["dsabench", *sys.argv[1:]])
    try:
        with (
            tempfile.TemporaryDirectory(prefix="dsabench-doctor-") as scratch,
            claimed_worker(
                resolve_device(device), Path(scratch) / "worker.log", command, allow_busy=allow_busy
            ) as worker,
        ):
            found = worker.do(SelfCheckJob(), MEASURE_TIMEOUT_S)
    except DeviceError as error:
        raise UsageError(str(error)) from error
    except (WorkerDied, WorkerTimeout, WorkerStartError, JobFailed) as error:
        raise CommandError(f"the measuring cannot be checked: {error}") from error
    assert isinstance(found, SelfChecks)
    return found.device, list(found.checks)


def _document(findings: list[Finding], device: str, checks: list[SelfCheck] | None) -> dict[str, object]:
    from dataclasses import asdict

    document: dict[str, object] = {
        "schema": DOCUMENT_SCHEMA,
        "command": "doctor",
        "findings": [asdict(finding) for finding in findings],
    }
    if checks is not None:
        document |= {"measured_on": device, "measuring": [check.model_dump() for check in checks]}
    return document


def _print(findings: list[Finding], device: str, checks: list[SelfCheck] | None) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table("", "subject", "finding", box=None)
    marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}
    for finding in findings:
        text = finding.text if not finding.advice else f"{finding.text}\n→ {finding.advice}"
        table.add_row(marks[finding.state], escape(finding.subject), escape(text))
    console.print(table)
    if checks is None:
        return
    table = Table(
        "", "check", "expected", "measured", box=None, title=f"measuring on {escape(device)}", title_justify="left"
    )
    marks = {"ok": "[green]ok[/]", "cannot tell": "[yellow]cannot tell[/]", "off": "[red]off[/]"}
    for check in checks:
        table.add_row(marks[check.verdict], escape(check.name), escape(check.expected), escape(check.text))
    console.print()
    console.print(table)
