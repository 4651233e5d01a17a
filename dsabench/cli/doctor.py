"""`dsabench doctor`: what is here, what can and cannot run, and why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from dsabench.cli.errors import EXIT_ERROR, CommandError

if TYPE_CHECKING:
    from dsabench.bench.checkup import Finding
    from dsabench.bench.selfcheck import SelfCheck

DOCUMENT_SCHEMA = 1

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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
) -> int:
    from dsabench.bench.checkup import examine

    findings = examine()
    device, checks = _measured() if measure else ("", None)
    if as_json:
        print(json.dumps(_document(findings, device, checks), indent=1))
    else:
        _print(findings, device, checks)
    if checks is None:
        return 0
    from dsabench.bench.selfcheck import spins_right

    return 0 if spins_right(checks) else EXIT_ERROR


doctor.__doc__ = _HELP


def _measured() -> tuple[str, list[SelfCheck]]:
    """In a process of its own, whose threads are settled before torch and numba are imported. Raises CommandError."""
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import get_context

    from dsabench.bench.child_process import child_environment
    from dsabench.bench.cpu_measuring import check_cpu
    from dsabench.bench.device import worker_environment

    with child_environment(worker_environment()), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(check_cpu).result()
        except BrokenProcessPool as error:
            raise CommandError("the process that measures died; is there memory left?") from error


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
