"""`dsabench doctor`: what is here, what can and cannot run, and why."""

from __future__ import annotations

import json
from typing import Annotated

import typer

DOCUMENT_SCHEMA = 1

_HELP = """Say what device, packages and tuned tables are here, what can and cannot run, and what would help.

Exits 0 whatever it finds: a laptop without a GPU is a healthy patient.

Examples:

  dsabench doctor

  dsabench doctor --json
"""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
) -> None:
    from dataclasses import asdict

    from dsabench.bench.checkup import examine

    findings = examine()
    if as_json:
        print(
            json.dumps(
                {"schema": DOCUMENT_SCHEMA, "command": "doctor", "findings": [asdict(f) for f in findings]}, indent=1
            )
        )
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("", "subject", "finding", box=None)
    marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}
    for finding in findings:
        text = finding.text if not finding.advice else f"{finding.text}\n→ {finding.advice}"
        table.add_row(marks[finding.state], escape(finding.subject), escape(text))
    Console().print(table)


doctor.__doc__ = _HELP
