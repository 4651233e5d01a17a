"""`dsabench tune`: finds the fastest config of every kernel on this machine."""

from __future__ import annotations

import inspect
import json
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dsabench.cli.errors import EXIT_ERROR, EXIT_INTERRUPTED, CommandError, UsageError
from dsabench.cli.known_errors import known_errors
from dsabench.cli.settings import TuneSettings, load_settings

if TYPE_CHECKING:
    from dsabench.autotune.budget import Budget
    from dsabench.autotune.progress import Progress
    from dsabench.autotune.session import Request, SessionResult

DOCUMENT_SCHEMA = 1
_DEFAULTS = {"cpu": ("quick", "4m"), "cuda": ("hopper", "8m")}
"""Suite and budget that `auto` means on each type of device."""
_EXAMPLES = """Examples:

  dsabench tune

  dsabench tune --op topk_select --context 4k,64k --budget 60s --out topk

  dsabench tune --out topk --resume

  dsabench tune --plugin my_kernel.py --impl mine --json

  dsabench tune --device cuda:1 --effort full --budget 20m --out h100
"""


def tune(
    suite: Annotated[
        str | None,
        typer.Option(help="Suite by name (see `dsabench list`) or a .toml file. \\[default: quick; hopper on a GPU]"),
    ] = None,
    op: Annotated[list[str] | None, typer.Option(help="Only this op; repeatable.")] = None,
    impl: Annotated[list[str] | None, typer.Option(help="Only this implementation; repeatable.")] = None,
    context: Annotated[str | None, typer.Option(help="Context lengths instead of the suite's, e.g. 4k,64k.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda[:i]. \\[default: auto]")] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="exhaustive, random, halving, or auto: exhaustive where the budget allows, else halving. \\[default: auto]"
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Wall time of the whole command: 90s, 5m, or seconds. \\[default: 4m; 8m on a GPU]"),
    ] = None,
    effort: Annotated[
        str | None, typer.Option(help="quick or full: how long each config is timed. \\[default: quick]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search's order. \\[default: 0]")] = None,
    out: Annotated[
        str | None, typer.Option(help="Directory for journal, table and report. \\[default: dsabench-out]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the journal in --out.")] = False,
    plugin: Annotated[
        list[str] | None, typer.Option(help="Python file that registers implementations; repeatable.")
    ] = None,
    trial_timeout: Annotated[
        str | None, typer.Option(help="Limit of one trial: compile, check and timing. \\[default: 60s]")
    ] = None,
    install: Annotated[
        bool | None,
        typer.Option(
            "--install/--no-install", help="Put the winners where the library finds them. \\[default: install]"
        ),
    ] = None,
    report: Annotated[
        bool | None, typer.Option("--report/--no-report", help="Write report.html. \\[default: report]")
    ] = None,
    allow_busy: Annotated[
        bool | None, typer.Option("--allow-busy", help="Measure on a GPU that other processes use; refused otherwise.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout, nothing else.")] = False,
) -> int:
    """Search each kernel's configs, check every one against a float64 reference, time it, and name the winners.

    Writes journal.jsonl, tuned.json, report.html and plots/ into --out. Nothing measured is lost when it is stopped:
    --resume goes on. Options can also stand in dsabench.toml, in \\[tool.dsabench] of pyproject.toml, or in the
    environment (DSABENCH_BUDGET=90s).
    """
    begun = time.monotonic()
    options: dict[str, Any] = {
        "suite": suite,
        "op": op or None,
        "impl": impl or None,
        "context": context,
        "device": device,
        "strategy": strategy,
        "budget": budget,
        "effort": effort,
        "seed": seed,
        "out": out,
        "plugin": plugin or None,
        "trial_timeout": trial_timeout,
        "install": install,
        "report": report,
        "allow_busy": allow_busy,
    }
    settings, given = load_settings(options)
    with known_errors():
        request = _request(settings, given, resume, begun)
        result = _session(request, as_json)
    report_path = _write_report(result, settings)
    if as_json:
        print(json.dumps(_document(result, report_path), indent=1))
    else:
        _print_result(result, report_path)
    if result.end.reason == "interrupted":
        return EXIT_INTERRUPTED
    return 0 if any(t.status == "PASSED" for t in result.outcome.finished.trials) else EXIT_ERROR


tune.__doc__ = f"{inspect.cleandoc(tune.__doc__ or '')}\n\n{_EXAMPLES}"


def _request(settings: TuneSettings, given: set[str], resume: bool, begun: float) -> Request:
    """Checks what can be checked without looking at the machine. With `resume`, what the command line leaves open is as the
    journal's header says."""
    from dataclasses import replace

    from dsabench.autotune.budget import Budget, BudgetError, parse_duration
    from dsabench.autotune.run_folder import journal_header
    from dsabench.autotune.search import STRATEGIES
    from dsabench.autotune.session import Request
    from dsabench.bench.device import resolve_device
    from dsabench.bench.effort import EFFORTS
    from dsabench.bench.suites import parse_contexts
    from dsabench.kernels.op import UnknownNameError

    header = journal_header(Path(settings.out)) if resume else None
    if header is not None:
        recorded: dict[str, Any] = {name: getattr(header, name) for name in ("suite", "seed", "effort", "strategy")}
        settings = replace(settings, **{key: value for key, value in recorded.items() if key not in given})
    if settings.effort not in EFFORTS:
        raise UnknownNameError("effort", settings.effort, list(EFFORTS))
    strategy = next((s for s in STRATEGIES if s == settings.strategy), None)
    if strategy is None:
        raise UnknownNameError("strategy", settings.strategy, list(STRATEGIES))
    device = resolve_device(settings.device)
    suite, budget = _DEFAULTS["cpu" if device == "cpu" else "cuda"]
    settings = replace(
        settings,
        suite=suite if settings.suite == "auto" else settings.suite,
        budget=budget if settings.budget == "auto" else settings.budget,
    )
    seconds = {}
    for name in ("budget", "trial_timeout"):
        try:
            seconds[name] = parse_duration(getattr(settings, name))
        except BudgetError as error:
            raise UsageError(f"{name.replace('_', '-')}: {error}") from None
    return Request(
        suite=settings.suite,
        ops=settings.op,
        impls=settings.impl,
        contexts=parse_contexts(settings.context) if settings.context else None,
        device=device,
        strategy=strategy,
        budget=Budget(seconds["budget"], begun),
        effort=settings.effort,
        seed=settings.seed,
        out=Path(settings.out),
        resume=resume,
        plugins=settings.plugin,
        trial_timeout_s=seconds["trial_timeout"],
        install=settings.install,
        report=settings.report,
        command=shlex.join(["dsabench", *sys.argv[1:]]),
        allow_busy=settings.allow_busy,
    )


def _session(request: Request, as_json: bool) -> SessionResult:
    from rich.console import Console

    from dsabench.autotune.progress import LiveProgress, PlainProgress
    from dsabench.autotune.session import run_session

    def make_progress(budget: Budget) -> Progress:
        if as_json:
            return PlainProgress(sys.stderr, budget)
        console = Console()
        return LiveProgress(console, budget) if console.is_terminal else PlainProgress(sys.stdout, budget)

    return run_session(request, make_progress)


def _write_report(result: SessionResult, settings: TuneSettings) -> Path | None:
    if not settings.report or result.end.reason == "interrupted" or not result.outcome.finished.trials:
        return None
    from dsabench.reports.build import ReportError, build_report

    try:
        return build_report([result.journal], Path(settings.out))
    except ReportError as error:
        raise CommandError(f"{error}; the journal {result.journal} is whole: `dsabench report` reads it") from error


def _print_result(result: SessionResult, report: Path | None) -> None:
    from rich.console import Console

    from dsabench.autotune.summary import TABLE_LEGEND, rows, status_counts, winners_table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a pipe has no width; nothing is to be cut off in a log
    found = rows(result.plan, result.outcome)
    if found:
        console.print(winners_table(found, console.width))
        console.print(TABLE_LEGEND, style="dim", highlight=False)
    counts = ", ".join(f"{n} {status}" for status, n in status_counts(result.outcome.finished).items()) or "none"
    lines = [f"trials: {counts}", f"ended: {result.end.reason}, {result.end.wall_s:.0f} s"]
    if result.outcome.skipped:
        lines.append(f"not done: {len(result.outcome.skipped)}, the first: {result.outcome.skipped[0]}")
    lines += [f"note: {note}" for note in result.notes]
    lines.append(f"journal: {result.journal}")
    if result.table:
        lines.append(f"winners: {result.table}" + (f", installed in {result.installed}" if result.installed else ""))
    if report:
        lines.append(f"report: {report}")
    if result.end.reason == "interrupted":
        lines.append(f"interrupted: dsabench tune --out {shlex.quote(str(result.journal.parent))} --resume goes on")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _document(result: SessionResult, report: Path | None) -> dict[str, Any]:
    from dsabench.autotune.summary import row_document, rows, status_counts

    ceilings = result.outcome.ceilings
    return {
        "schema": DOCUMENT_SCHEMA,
        "command": "tune",
        "end": result.end.reason,
        "wall_s": result.end.wall_s,
        "device": result.header.device.model_dump(),
        "ceilings": ceilings.model_dump(exclude={"kind"}) if ceilings else None,
        "trials": status_counts(result.outcome.finished),
        "winners": [row_document(row) for row in rows(result.plan, result.outcome)],
        "skipped": result.outcome.skipped,
        "notes": result.notes,
        "journal": str(result.journal),
        "tuned": str(result.table) if result.table else None,
        "installed": str(result.installed) if result.installed else None,
        "report": str(report) if report else None,
    }
