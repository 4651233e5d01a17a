"""`dsabench verify`: correctness only, every implementation on ordinary and adversarial inputs."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsabench.cli.errors import EXIT_ERROR, CommandError, UsageError

if TYPE_CHECKING:
    from dsabench.bench.verify import VerifyCase, VerifyResult

DOCUMENT_SCHEMA = 1
TIMEOUT_S = 120.0

_HELP = """Check every implementation against the float64 reference; nothing is timed.

The `verify` suite holds small and odd shapes and runs them with every distribution of the op: ordinary inputs and those
that broke real kernels. Outputs are poisoned first, every row is compared, and repeated launches must agree bit for bit.
A kernel that crashes or hangs costs its own case only. Exits 1 when any case fails.

Examples:

  dsabench verify

  dsabench verify --op topk_select --impl cpu

  dsabench verify --suite cpu-goals --json

  dsabench verify --plugin my_kernel.py --impl mine
"""


def verify(
    suite: Annotated[str, typer.Option(help="Suite by name or a .toml file.")] = "verify",
    op: Annotated[list[str] | None, typer.Option(help="Only this op; repeatable.")] = None,
    impl: Annotated[list[str] | None, typer.Option(help="Only this implementation; repeatable.")] = None,
    context: Annotated[str | None, typer.Option(help="Context lengths instead of the suite's, e.g. 4k,64k.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda[:i].")] = "auto",
    seed: Annotated[int, typer.Option(help="Added to every workload's seed: fresh inputs.")] = 0,
    plugin: Annotated[
        list[str] | None, typer.Option(help="Python file that registers implementations; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
) -> int:
    from dsabench.bench.device import DeviceError, resolve_device
    from dsabench.bench.suites import SuiteError, load_suite, parse_contexts
    from dsabench.bench.verify import verify_cases
    from dsabench.kernels.op import UnknownNameError
    from dsabench.kernels.registry import PluginError, implementation_names, load_plugin

    try:
        device_type = resolve_device(device)
        for path in plugin or []:
            load_plugin(path)
        for name in impl or []:
            if name not in implementation_names():
                raise UnknownNameError("implementation", name, list(implementation_names()))
        loaded = load_suite(suite, parse_contexts(context) if context else None, tuple(op or ()), 0)
    except (DeviceError, SuiteError, UnknownNameError, PluginError) as error:
        raise UsageError(str(error)) from error
    cases = list(verify_cases(loaded, tuple(impl or ()), device_type, seed))
    if not cases:
        raise UsageError(
            f"nothing to verify: no chosen implementation of suite {loaded.name} runs on {device_type} here"
        )
    results = _run(cases, tuple(str(Path(p).resolve()) for p in plugin or ()), as_json)
    failed = [r for r in results if r.outcome.status != "PASSED"]
    if as_json:
        print(json.dumps(_document(loaded.name, device_type, results), indent=1))
    else:
        _print_summary(results)
    return EXIT_ERROR if failed else 0


verify.__doc__ = _HELP


def _run(cases: list[VerifyCase], plugins: tuple[str, ...], quiet: bool) -> list[VerifyResult]:
    from rich.console import Console
    from rich.progress import track

    from dsabench.bench.verify import verify as verify_each
    from dsabench.bench.worker import JobFailed, Worker, WorkerStartError

    console = Console(file=sys.stderr if quiet else sys.stdout)
    results = []
    with tempfile.TemporaryDirectory(prefix="dsabench-verify-") as scratch:
        log = Path(scratch) / "worker.log"
        try:
            with Worker(log, plugins) as worker:
                each = verify_each(cases, worker, TIMEOUT_S)
                for result in track(each, "verifying", len(cases), console=console, disable=not console.is_terminal):
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
        f"{result.outcome.status}  {case.workload.op}/{case.impl}  {case.workload.label()}  seed={case.workload.seed}  "
        f"{format_config(case.config)}: {result.outcome.reason}"
    )


def _groups(results: list[VerifyResult]) -> dict[tuple[str, str], list[VerifyResult]]:
    groups: dict[tuple[str, str], list[VerifyResult]] = {}
    for result in results:
        groups.setdefault((result.case.workload.op, result.case.impl), []).append(result)
    return groups


def _worst(results: list[VerifyResult]) -> dict[str, float]:
    worst: dict[str, float] = {}
    for result in results:
        for name, value in (result.outcome.check.worst if result.outcome.check else {}).items():
            worst[name] = max(worst.get(name, 0.0), value)
    return worst


def _print_summary(results: list[VerifyResult]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("op", "impl", "cases", "passed", "inputs", "rows checked")
    table.add_column("worst errors", overflow="fold")
    for (op, impl), group in _groups(results).items():
        passed = sum(r.outcome.status == "PASSED" for r in group)
        rows = sum(r.outcome.check.rows_checked for r in group if r.outcome.check)
        table.add_row(
            op,
            impl,
            str(len(group)),
            str(passed) if passed == len(group) else f"[bold red]{passed}[/]",
            str(len({r.case.workload.distribution for r in group})),
            str(rows),
            "\n".join(f"{name} {value:.1e}" for name, value in _worst(group).items()),
        )
    console.print(table)
    failed = sum(r.outcome.status != "PASSED" for r in results)
    console.print(f"{len(results) - failed} of {len(results)} cases passed", style="red" if failed else "green")


def _document(suite: str, device_type: str, results: list[VerifyResult]) -> dict[str, Any]:
    return {
        "schema": DOCUMENT_SCHEMA,
        "command": "verify",
        "suite": suite,
        "device": device_type,
        "passed": sum(r.outcome.status == "PASSED" for r in results),
        "failed": sum(r.outcome.status != "PASSED" for r in results),
        "cases": [
            {
                "op": r.case.workload.op,
                "impl": r.case.impl,
                "axes": r.case.workload.axis_values,
                "distribution": r.case.workload.distribution,
                "seed": r.case.workload.seed,
                "config": r.case.config,
                "status": str(r.outcome.status),
                "reason": r.outcome.reason,
                "rows_checked": r.outcome.check.rows_checked if r.outcome.check else 0,
                "rows_total": r.outcome.check.rows_total if r.outcome.check else 0,
                "worst": r.outcome.check.worst if r.outcome.check else {},
            }
            for r in results
        ],
    }
