"""`dsabench list`: ops, implementations, suites and configs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsabench.cli.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from dsabench.kernels.implementation import Implementation

DOCUMENT_SCHEMA = 1

_HELP = """What there is: ops with their axes and distributions, implementations with their tunables, suites.

Examples:

  dsabench list

  dsabench list --op sparse_mla_decode

  dsabench list --json
"""


def list_(
    op: Annotated[str | None, typer.Option(help="Everything about one op: axes, distributions, configs.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
) -> None:
    from dsabench.kernels.op import UnknownNameError
    from dsabench.kernels.registry import get_op, op_names

    try:
        names = (op,) if op else op_names()
        ops = [get_op(name) for name in names]
    except UnknownNameError as error:
        raise UsageError(str(error)) from error
    if as_json:
        print(json.dumps(_document([o.name for o in ops]), indent=1))
    elif op:
        _print_op(op)
    else:
        _print_all()


list_.__doc__ = _HELP


def _implementations(op: str) -> list[Implementation]:
    from dsabench.kernels.registry import get_implementation, implementation_names

    return [get_implementation(op, name) for name in implementation_names(op)]


def _legal_count(implementation: Implementation, axes: dict[str, int]) -> int:
    return sum(implementation.constraint(config, axes) is None for config in implementation.configs())


def _here(implementation: Implementation) -> str:
    from dsabench.bench.checkup import runs_here

    here = runs_here(implementation)
    return {"yes": "yes", "interpreter": "interpreter only", "no": here.reason}[here.state]


def _hardware(implementation: Implementation) -> str | None:
    """What is known of a GPU's kernel on a GPU; None for the implementations that need no such proof."""
    from dsabench.kernels.ledger import hardware_note, needs_hardware

    return hardware_note(implementation.op, implementation.name) if needs_hardware(implementation) else None


def _console() -> Console:
    from rich.console import Console

    console = Console()
    return (
        console if console.is_terminal else Console(width=200)
    )  # a pipe has no width; nothing is to be cut off in a log


def _print_all() -> None:
    from rich.table import Table

    from dsabench.bench.checkup import written_for
    from dsabench.bench.suites import load_suite, suite_names
    from dsabench.kernels.registry import get_op, op_names

    console = _console()
    table = Table(
        "op",
        "implementation",
        "devices",
        "configs",
        "here",
        "hardware",
        title="ops and implementations",
        title_justify="left",
    )
    for name in op_names():
        axes = get_op(name).complete_axes({})
        for implementation in _implementations(name):
            table.add_row(
                name,
                implementation.name,
                ", ".join(written_for(implementation)),
                str(_legal_count(implementation, axes)),
                _here(implementation),
                _hardware(implementation) or "–",
            )
    console.print(table)
    suites = Table("suite", "workloads", "what for", title="suites", title_justify="left")
    for name in suite_names():
        suite = load_suite(name)
        suites.add_row(name, str(len(suite.workloads)), suite.description)
    console.print(suites)
    console.print("dsabench list --op NAME shows axes, input distributions and tunables.", style="dim")


def _print_op(name: str) -> None:
    from rich.table import Table

    from dsabench.kernels.registry import get_op
    from dsabench.kernels.sizes import format_size

    console = _console()
    op = get_op(name)
    console.print(f"[bold]{op.name}[/]: {op.summary}")
    axes = Table("axis", "meaning", "from", "to", "default", title="axes", title_justify="left")
    for axis in op.axes:
        axes.add_row(axis.name, axis.meaning, *(format_size(v) for v in (axis.minimum, axis.maximum, axis.default)))
    console.print(axes)
    distributions = Table("distribution", "what it holds", title="input distributions", title_justify="left")
    for label, meaning in op.distributions.items():
        distributions.add_row(label, meaning)
    console.print(distributions)
    defaults = op.complete_axes({})
    for implementation in _implementations(name):
        default = implementation.default_config(defaults)
        table = Table("tunable", "choices", "default", "meaning", title_justify="left")
        table.title = (
            f"{implementation.id}: {implementation.summary} "
            f"({_legal_count(implementation, defaults)} legal configs at the default axes; here: {_here(implementation)}"
        )
        hardware = _hardware(implementation)
        table.title += f"; {hardware})" if hardware else ")"
        for tunable in implementation.tunables:
            choices = ", ".join(str(c) for c in tunable.choices)
            table.add_row(tunable.name, choices, str(default[tunable.name]), tunable.meaning)
        console.print(table)


def _implementation_document(implementation: Implementation, axes: dict[str, int]) -> dict[str, Any]:
    from dataclasses import asdict

    from dsabench.bench.checkup import runs_here, written_for
    from dsabench.kernels.ledger import verified_on
    from dsabench.kernels.source_hash import source_hash

    here = runs_here(implementation)
    hardware = _hardware(implementation)
    return {
        "impl": implementation.name,
        "summary": implementation.summary,
        "devices": list(written_for(implementation)),
        "here": here.state,
        "unavailable": here.reason or None,
        "hardware": hardware,
        "verified_on": [asdict(v) for v in verified_on(implementation.op, implementation.name)] if hardware else [],
        "source": source_hash(implementation.op, implementation.name),
        "legal_configs": _legal_count(implementation, axes),
        "default_config": implementation.default_config(axes),
        "tunables": [
            {"name": t.name, "choices": list(t.choices), "meaning": t.meaning} for t in implementation.tunables
        ],
    }


def _document(names: list[str]) -> dict[str, Any]:
    from dsabench.bench.suites import load_suite, suite_names
    from dsabench.kernels.registry import get_op

    ops = []
    for name in names:
        op = get_op(name)
        axes = op.complete_axes({})
        ops.append(
            {
                "op": name,
                "summary": op.summary,
                "context_axis": op.context_axis,
                "axes": [
                    {"name": a.name, "meaning": a.meaning, "min": a.minimum, "max": a.maximum, "default": a.default}
                    for a in op.axes
                ],
                "distributions": dict(op.distributions),
                "implementations": [_implementation_document(each, axes) for each in _implementations(name)],
            }
        )
    suites = [
        {"suite": s.name, "description": s.description, "workloads": len(s.workloads)}
        for s in (load_suite(name) for name in suite_names())
    ]
    return {"schema": DOCUMENT_SCHEMA, "command": "list", "ops": ops, "suites": suites}
