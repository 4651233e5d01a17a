"""`dsabench list`: ops, implementations, suites and configs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsabench.cli.errors import UsageError

if TYPE_CHECKING:
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


def _print_all() -> None:
    from rich.console import Console
    from rich.table import Table

    from dsabench.bench.suites import load_suite, suite_names
    from dsabench.kernels.registry import get_op, op_names

    console = Console()
    table = Table(
        "op", "implementation", "devices", "configs", "here", title="ops and implementations", title_justify="left"
    )
    for name in op_names():
        axes = get_op(name).complete_axes({})
        for implementation in _implementations(name):
            reason = implementation.unavailable()
            table.add_row(
                name,
                implementation.name,
                ", ".join(implementation.device_types),
                str(_legal_count(implementation, axes)),
                reason or "yes",
            )
    console.print(table)
    suites = Table("suite", "workloads", "what for", title="suites", title_justify="left")
    for name in suite_names():
        suite = load_suite(name)
        suites.add_row(name, str(len(suite.workloads)), suite.description)
    console.print(suites)
    console.print("dsabench list --op NAME shows axes, input distributions and tunables.", style="dim")


def _print_op(name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from dsabench.kernels.registry import get_op
    from dsabench.kernels.sizes import format_size

    console = Console()
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
            f"({_legal_count(implementation, defaults)} legal configs at the default axes)"
        )
        for tunable in implementation.tunables:
            choices = ", ".join(str(c) for c in tunable.choices)
            table.add_row(tunable.name, choices, str(default[tunable.name]), tunable.meaning)
        console.print(table)


def _document(names: list[str]) -> dict[str, Any]:
    from dsabench.bench.suites import load_suite, suite_names
    from dsabench.kernels.registry import get_op
    from dsabench.kernels.source_hash import source_hash

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
                "implementations": [
                    {
                        "impl": i.name,
                        "summary": i.summary,
                        "devices": list(i.device_types),
                        "unavailable": i.unavailable(),
                        "source": source_hash(name, i.name),
                        "legal_configs": _legal_count(i, axes),
                        "default_config": i.default_config(axes),
                        "tunables": [
                            {"name": t.name, "choices": list(t.choices), "meaning": t.meaning} for t in i.tunables
                        ],
                    }
                    for i in _implementations(name)
                ],
            }
        )
    suites = [
        {"suite": s.name, "description": s.description, "workloads": len(s.workloads)}
        for s in (load_suite(name) for name in suite_names())
    ]
    return {"schema": DOCUMENT_SCHEMA, "command": "list", "ops": ops, "suites": suites}
