"""`dsabench verify`: correctness only, every implementation on ordinary and adversarial inputs."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsabench.cli.errors import EXIT_ERROR, CommandError, UsageError

if TYPE_CHECKING:
    from dsabench.bench.verify import Place, VerifyPlan, VerifyResult

DOCUMENT_SCHEMA = 1
TIMEOUT_S = 120.0
SHOWN = 5
"""Things left out for one reason that are named; --json names all."""

INTERPRETER_REMARK = (
    "Triton's interpreter runs a kernel's algorithm on the CPU: it proves that, not the code compiled for a GPU"
)

_HELP = """Check every implementation against the float64 reference; nothing is timed.

The `verify` suite holds small and odd shapes and runs them with every distribution of the op: ordinary inputs and those
that broke real kernels. Outputs are poisoned first, every row is compared, and repeated launches must agree bit for bit.
A kernel that crashes or hangs costs its own case only. Exits 1 when any case fails.

Triton kernels run on the GPU where there is one. Where there is none they run in Triton's interpreter, on the tiny
workloads of the `interpreter` suite (or those of --suite that are small enough): that proves the algorithm, not the code
compiled for a GPU, which stays unverified on hardware.

Examples:

  dsabench verify

  dsabench verify --op topk_select --impl cpu

  dsabench verify --impl triton --device cpu

  dsabench verify --suite cpu-goals --json

  dsabench verify --plugin my_kernel.py --impl mine

  dsabench verify --device cuda --out verified.jsonl
"""


def verify(
    suite: Annotated[
        str | None,
        typer.Option(help="Suite by name or a .toml file. \\[default: verify; in the interpreter: interpreter]"),
    ] = None,
    op: Annotated[list[str] | None, typer.Option(help="Only this op; repeatable.")] = None,
    impl: Annotated[list[str] | None, typer.Option(help="Only this implementation; repeatable.")] = None,
    context: Annotated[str | None, typer.Option(help="Context lengths instead of the suite's, e.g. 4k,64k.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:i].")] = "auto",
    seed: Annotated[int, typer.Option(help="Added to every workload's seed: fresh inputs.")] = 0,
    plugin: Annotated[
        list[str] | None, typer.Option(help="Python file that registers implementations; repeatable.")
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Write each case as a JSON line to this new file, as soon as it has run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
) -> int:
    from dsabench.bench.device import DeviceError
    from dsabench.bench.suites import SuiteError, load_suite, parse_contexts
    from dsabench.bench.verify import INTERPRETER_SUITE, VERIFY_SUITE, plan_verify, usable_places
    from dsabench.kernels.op import UnknownNameError
    from dsabench.kernels.registry import PluginError, implementation_names, load_plugin

    try:
        places = usable_places(device)
        for path in plugin or []:
            load_plugin(path)
        for name in impl or []:
            if name not in implementation_names():
                raise UnknownNameError("implementation", name, list(implementation_names()))
        contexts = parse_contexts(context) if context else None
        loaded, tiny = (
            load_suite(suite or default, contexts, tuple(op or ()), 0) for default in (VERIFY_SUITE, INTERPRETER_SUITE)
        )
    except (DeviceError, SuiteError, UnknownNameError, PluginError) as error:
        raise UsageError(str(error)) from error
    plan = plan_verify(loaded, tiny, tuple(impl or ()), places, seed)
    if not plan.cases:
        why = "".join(f"; {line}" for line in _left_out_lines(plan))
        raise UsageError(
            f"nothing to verify: no chosen implementation runs suite {loaded.name} on device {device} here{why}"
        )
    plugins = tuple(str(Path(p).resolve()) for p in plugin or ())
    with _lines(out) as keep:
        results = _run(plan, places, plugins, as_json, keep)
    failed = [r for r in results if r.outcome.status != "PASSED"]
    if as_json:
        print(json.dumps(_document(loaded.name, "cuda" if "cuda" in places else "cpu", plan, results), indent=1))
    else:
        _print_summary(results, plan)
    return EXIT_ERROR if failed else 0


verify.__doc__ = _HELP


@contextlib.contextmanager
def _lines(out: str | None) -> Iterator[Callable[[VerifyResult], None]]:
    """What keeps a result: in the file, flushed line by line, so that an interrupted run is worth what it ran."""
    if out is None:
        yield lambda result: None
        return
    try:
        file = open(out, "x")  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(f"cannot write {out}: {error.strerror}; choose another --out") from error

    def keep(result: VerifyResult) -> None:
        try:
            print(json.dumps(_case(result)), file=file, flush=True)
        except OSError as error:
            raise CommandError(f"cannot write {out}: {error.strerror}") from error

    with file:
        yield keep


def _run(
    plan: VerifyPlan,
    places: dict[Place, dict[str, str | None]],
    plugins: tuple[str, ...],
    quiet: bool,
    keep: Callable[[VerifyResult], None],
) -> list[VerifyResult]:
    """All cases, place by place, each place in a worker of its own."""
    from rich.console import Console
    from rich.progress import Progress

    from dsabench.bench.verify import verify as verify_each
    from dsabench.bench.worker import JobFailed, Worker, WorkerStartError

    console = Console(file=sys.stderr if quiet else sys.stdout)
    results = []
    with (
        tempfile.TemporaryDirectory(prefix="dsabench-verify-") as scratch,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        for place, environment in places.items():
            cases = [case for case in plan.cases if case.where == place]
            if not cases:
                continue
            log = Path(scratch) / f"{place}.log"
            device = "cuda" if place == "cuda" else "cpu"
            try:
                with Worker(log, plugins, environment=environment, device=device) as worker:
                    for result in progress.track(
                        verify_each(cases, worker, TIMEOUT_S), len(cases), description=f"verifying, {place}"
                    ):
                        keep(result)
                        results.append(result)
                        if result.outcome.status != "PASSED" and not quiet:
                            console.print(_failure_line(result), markup=False, highlight=False, soft_wrap=True)
            except JobFailed as failed:
                raise CommandError(f"inputs or reference failed: {failed.failure.reason}") from failed
            except WorkerStartError as error:
                output = log.read_text().strip().splitlines() if log.exists() else []
                raise CommandError(f"{error}; its last line: {output[-1] if output else '(none)'}") from error
    return results


def _failure_line(result: VerifyResult) -> str:
    from dsabench.kernels.implementation import format_config

    case = result.case
    return (
        f"{result.outcome.status}  {case.workload.op}/{case.impl}  on {case.where}  {case.workload.label()}  "
        f"seed={case.workload.seed}  "
        f"{format_config(case.config)}: {result.outcome.reason}"
    )


def _groups(results: list[VerifyResult]) -> dict[tuple[str, str, Place], list[VerifyResult]]:
    groups: dict[tuple[str, str, Place], list[VerifyResult]] = {}
    for result in results:
        case = result.case
        groups.setdefault((case.workload.op, case.impl, case.where), []).append(result)
    return groups


def _hardware_notes(plan: VerifyPlan) -> dict[str, str]:
    """`op/impl` → whether hardware proved it, for the kernels that ran in the interpreter."""
    from dsabench.kernels.ledger import hardware_note

    interpreted = {(c.workload.op, c.impl): None for c in plan.cases if c.where == "interpreter"}
    return {f"{op}/{impl}": hardware_note(op, impl) for op, impl in interpreted}


def _worst(results: list[VerifyResult]) -> dict[str, float]:
    worst: dict[str, float] = {}
    for result in results:
        for name, value in (result.outcome.check.worst if result.outcome.check else {}).items():
            worst[name] = max(worst.get(name, 0.0), value)
    return worst


def _left_out_lines(plan: VerifyPlan) -> list[str]:
    """A line for each reason; of many things the first few by name."""
    by_reason: dict[str, list[str]] = {}
    for each in plan.left_out:
        by_reason.setdefault(each.reason, []).append(each.what)
    lines = []
    for reason, things in by_reason.items():
        more = f"; and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
        lines.append(f"left out ({reason}): {'; '.join(things[:SHOWN])}{more}")
    return lines


def _print_summary(results: list[VerifyResult], plan: VerifyPlan) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a pipe has no width; nothing is to be cut off in a log
    table = Table("op", "impl", "where", "cases", "passed", "inputs", "rows checked")
    table.add_column("worst errors", overflow="fold")
    for (op, impl, where), group in _groups(results).items():
        passed = sum(r.outcome.status == "PASSED" for r in group)
        rows = sum(r.outcome.check.rows_checked for r in group if r.outcome.check)
        table.add_row(
            op,
            impl,
            where,
            str(len(group)),
            str(passed) if passed == len(group) else f"[bold red]{passed}[/]",
            str(len({r.case.workload.distribution for r in group})),
            str(rows),
            "\n".join(f"{name} {value:.1e}" for name, value in _worst(group).items()),
        )
    console.print(table)
    lines = []
    by_note: dict[str, list[str]] = {}
    for name, note in _hardware_notes(plan).items():
        by_note.setdefault(note, []).append(name)
    if by_note:
        lines.append(f"{INTERPRETER_REMARK}. The workloads were tiny")
    lines += [f"{note}: {', '.join(names)}" for note, names in by_note.items()]
    lines += _left_out_lines(plan)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    failed = sum(r.outcome.status != "PASSED" for r in results)
    console.print(f"{len(results) - failed} of {len(results)} cases passed", style="red" if failed else "green")


def _document(suite: str, device_type: str, plan: VerifyPlan, results: list[VerifyResult]) -> dict[str, Any]:
    notes = _hardware_notes(plan)
    return {
        "schema": DOCUMENT_SCHEMA,
        "command": "verify",
        "suite": suite,
        "device": device_type,
        "passed": sum(r.outcome.status == "PASSED" for r in results),
        "failed": sum(r.outcome.status != "PASSED" for r in results),
        "remarks": [INTERPRETER_REMARK] if notes else [],
        "hardware": notes,
        "left_out": [asdict(each) for each in plan.left_out],
        "cases": [_case(r) for r in results],
    }


def _case(result: VerifyResult) -> dict[str, Any]:
    case, check = result.case, result.outcome.check
    return {
        "op": case.workload.op,
        "impl": case.impl,
        "where": case.where,
        "axes": case.workload.axis_values,
        "distribution": case.workload.distribution,
        "seed": case.workload.seed,
        "config": case.config,
        "status": str(result.outcome.status),
        "reason": result.outcome.reason,
        "rows_checked": check.rows_checked if check else 0,
        "rows_total": check.rows_total if check else 0,
        "worst": check.worst if check else {},
    }
