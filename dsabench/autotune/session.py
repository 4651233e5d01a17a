"""A whole tuning run: what was asked is checked, the journal opened or continued, the loop run, its end written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dsabench.autotune.ahead import CompileAhead
from dsabench.autotune.budget import Budget
from dsabench.autotune.measuring import Run
from dsabench.autotune.opened import Opening, opened_journal, opened_worker
from dsabench.autotune.outcome import Outcome, outcome_of
from dsabench.autotune.plan import Plan, make_plan
from dsabench.autotune.progress import Progress
from dsabench.autotune.run_records import run_header, timing_policy
from dsabench.autotune.run_to_end import run_to_end
from dsabench.autotune.search import StrategyName
from dsabench.autotune.table import TABLE_NAME, TableError, install, merge_table, table_entries
from dsabench.autotune.terminable import terminable
from dsabench.autotune.tuner import Tuner
from dsabench.bench.claim import describe, device_type
from dsabench.bench.effort import EFFORTS
from dsabench.bench.journal import JournalWriter
from dsabench.bench.records import Comparison, DeviceRecord, End, Header
from dsabench.bench.suites import load_suite
from dsabench.bench.worker import Worker
from dsabench.kernels.registry import load_plugin
from dsabench.kernels.source_hash import source_hash

REPORT_RESERVE_S = 10.0
"""Kept from the budget for the report, where one is written (5 s on two cores); at most a quarter of the budget."""


@dataclass(frozen=True)
class Request:
    """What a user asked for, parsed but not yet checked against ops, suites and machine. `budget` counts from `begun`; device:
    as `resolve_device` returns it; allow_busy: measure on a GPU that others use."""

    suite: str
    ops: tuple[str, ...]
    impls: tuple[str, ...]
    contexts: tuple[int, ...] | None
    device: str
    strategy: StrategyName
    budget: Budget
    effort: str
    seed: int
    out: Path
    resume: bool
    plugins: tuple[str, ...]
    trial_timeout_s: float
    install: bool
    report: bool
    command: str
    allow_busy: bool = False


@dataclass
class SessionResult:
    header: Header
    plan: Plan
    outcome: Outcome
    end: End
    journal: Path
    table: Path | None
    installed: Path | None
    notes: list[str]


def run_session(request: Request, make_progress: Callable[[Budget], Progress]) -> SessionResult:
    """Raises before anything is measured: DeviceError, PluginError, UnknownNameError, SuiteError, OutputError, JournalError,
    ResumeError, WorkerStartError; later WorkerStartError and JournalError (a full disk). An interruption ends in a result, not
    an exception."""
    plugins = tuple(str(Path(p).resolve()) for p in request.plugins)
    for path in plugins:
        load_plugin(path)
    suite = load_suite(request.suite, request.contexts, request.ops)
    plan = make_plan(suite.workloads, request.impls, device_type(request.device))
    opening = Opening(
        request.out, request.resume, request.device, request.command, request.budget, plugins, request.allow_busy
    )
    with opened_worker(opening, make_progress) as (worker, progress):
        header = _header(request, plan, describe(worker))
        with (
            opened_journal(request.out, header, request.resume) as (writer, journal),
            CompileAhead(plan.pairs, plugins) as ahead,
            terminable(),
        ):
            return _run(request, plan, header, writer, outcome_of(journal), worker, ahead, progress)


def _run(
    request: Request,
    plan: Plan,
    header: Header,
    writer: JournalWriter,
    outcome: Outcome,
    worker: Worker,
    ahead: CompileAhead,
    progress: Progress,
) -> SessionResult:
    table = request.out / TABLE_NAME
    notes: list[str] = []

    def save(comparison: Comparison) -> None:
        merge_table(table, table_entries(header, [comparison]))

    run = Run(
        header=header,
        effort=EFFORTS[request.effort][header.device.type],
        budget=request.budget,
        reserve_s=min(REPORT_RESERVE_S, request.budget.seconds / 4) if request.report else 0.0,
        trial_timeout_s=request.trial_timeout_s,
        journal=writer,
        worker=worker,
        ahead=ahead,
        progress=progress,
        outcome=outcome,
    )

    tuner = Tuner(run, plan, request.strategy, save)
    ended = run_to_end(tuner.tune, outcome, writer, worker, request.budget)
    if ahead.fault:
        notes.append(f"configs were not pruned by their machine code: {ahead.fault}")
    installed = None
    comparisons = list(outcome.finished.comparisons.values())
    if request.install and comparisons:
        try:
            installed = install(table_entries(header, comparisons), header.device.key)
        except TableError as error:
            notes.append(str(error))
    return SessionResult(
        header=header,
        plan=plan,
        outcome=outcome,
        end=ended,
        journal=writer.path,
        table=table if table.is_file() else None,
        installed=installed,
        notes=notes,
    )


def _header(request: Request, plan: Plan, device: DeviceRecord) -> Header:
    return run_header(
        command=request.command,
        device=device,
        sources={impl.id: source_hash(impl.op, impl.name) for impl in plan.implementations()},
        suite=request.suite,
        strategy=request.strategy,
        effort=request.effort,
        seed=request.seed,
        budget_s=request.budget.seconds,
        timing_policy=timing_policy(EFFORTS[request.effort][device.type], device.type, request.trial_timeout_s),
    )
