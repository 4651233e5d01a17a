"""A whole tuning run: what was asked is checked, the journal opened or continued, the loop run, its end written down."""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from dsabench.autotune.ahead import CompileAhead
from dsabench.autotune.budget import Budget
from dsabench.autotune.measuring import Run
from dsabench.autotune.outcome import Outcome
from dsabench.autotune.plan import Plan, make_plan
from dsabench.autotune.progress import Progress
from dsabench.autotune.resume import Finished, ResumeError, check_resumable
from dsabench.autotune.search import StrategyName
from dsabench.autotune.table import TABLE_NAME, TableError, install, merge_table, table_entries
from dsabench.autotune.tuner import Tuner
from dsabench.bench.claim import claimed_worker, describe, device_type
from dsabench.bench.device import resolve_device
from dsabench.bench.effort import EFFORTS
from dsabench.bench.journal import JOURNAL_NAME, Journal, JournalError, JournalWriter, read_journal, refuse_existing
from dsabench.bench.provenance import git_commit, package_versions
from dsabench.bench.records import Comparison, DeviceRecord, DeviceType, End, Header
from dsabench.bench.suites import load_suite
from dsabench.bench.worker import Worker
from dsabench.kernels.registry import load_plugin
from dsabench.kernels.source_hash import source_hash

REPORT_RESERVE_S = 10.0
"""Kept from the budget for the report, where one is written (5 s on two cores); at most a quarter of the budget."""
_WORKER_LOG = "worker.log"


class OutputError(Exception):
    """An output directory that cannot be used."""


@dataclass(frozen=True)
class Request:
    """What a user asked for, parsed but not yet checked against ops, suites and machine. `budget` counts from `begun`; device:
    `auto`, `cpu`, `cuda` or `cuda:i`; allow_busy: measure on a GPU that others use."""

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


def journal_header(out: Path) -> Header | None:
    """The header of the journal in `out`, None when there is none. Raises JournalError when it is malformed."""
    journal = _read_existing(out / JOURNAL_NAME)
    return journal.header if journal else None


def _read_existing(path: Path) -> Journal | None:
    """None when there is no journal, or one without a single whole line: its run was killed at birth."""
    if not path.is_file() or b"\n" not in path.read_bytes():
        return None
    return read_journal(path)


def run_session(request: Request, make_progress: Callable[[Budget], Progress]) -> SessionResult:
    """Raises before anything is measured: DeviceError, PluginError, UnknownNameError, SuiteError, OutputError, JournalError,
    ResumeError, WorkerStartError; later WorkerStartError and JournalError (a full disk). An interruption ends in a result, not
    an exception."""
    device = resolve_device(request.device)
    plugins = tuple(str(Path(p).resolve()) for p in request.plugins)
    for path in plugins:
        load_plugin(path)
    suite = load_suite(request.suite, request.contexts, request.ops)
    plan = make_plan(suite.workloads, request.impls, device_type(device))
    with _output(request.out), contextlib.ExitStack() as stack:
        if not request.resume:
            refuse_existing(request.out / JOURNAL_NAME)  # before a worker takes its seconds to start
        progress = make_progress(request.budget)
        stack.callback(progress.close)
        log = request.out / _WORKER_LOG
        worker = stack.enter_context(
            claimed_worker(device, log, request.command, plugins, progress.stage, request.allow_busy)
        )
        header = _header(request, plan, describe(worker))
        writer, outcome = _open_journal(request, header)
        stack.enter_context(writer)
        writer.write(header)
        ahead = stack.enter_context(CompileAhead(plan.pairs, plugins))
        stack.enter_context(_terminable())
        return _run(request, plan, header, writer, outcome, worker, ahead, progress)


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

    def end(reason: Literal["complete", "budget", "interrupted", "error"], detail: str = "") -> End:
        record = End(
            reason=reason,
            detail=detail,
            ended=datetime.now(UTC).isoformat(timespec="milliseconds"),
            wall_s=request.budget.used,
            skipped=outcome.skipped,
        )
        writer.write(record)
        return record

    try:
        Tuner(run, plan, request.strategy, save).tune()
    except KeyboardInterrupt:
        worker.kill()
        ended = end("interrupted", "stopped by the user; --resume goes on")
    except Exception as error:
        worker.kill()
        with contextlib.suppress(JournalError):
            end("error", f"{type(error).__name__}: {error}")
        raise
    else:
        ended = end("budget" if outcome.budget_ended else "complete")
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


_INPUTS: dict[DeviceType, str] = {
    "cpu": "copies rotated so that one round touches twice the last-level cache, at most 1 GiB; where that does not do, a stream "
    "of that size before each sample",
    "cuda": "copies rotated so that one round touches three times the L2, inside graphs too; where memory does not allow that, a "
    "read of that size before each call, outside the timed stretch",
}


def _header(request: Request, plan: Plan, device: DeviceRecord) -> Header:
    effort = EFFORTS[request.effort][device.type]
    policy = effort.describe() | {
        "inputs": _INPUTS[device.type],
        "trial limit": f"{request.trial_timeout_s:g} s",
        "worker environment": "set before torch and numba are imported; device details, env.*",
    }
    return Header(
        run_id=uuid.uuid4().hex[:12],
        started=datetime.now(UTC).isoformat(timespec="milliseconds"),
        command=request.command,
        device=device,
        versions=package_versions(device.type),
        git_commit=git_commit(),
        sources={impl.id: source_hash(impl.op, impl.name) for impl in plan.implementations()},
        suite=request.suite,
        strategy=request.strategy,
        effort=request.effort,
        seed=request.seed,
        budget_s=request.budget.seconds,
        timing_policy=policy,
    )


def _open_journal(request: Request, header: Header) -> tuple[JournalWriter, Outcome]:
    path = request.out / JOURNAL_NAME
    if not request.resume:
        return JournalWriter(path), Outcome(Finished())
    journal = _read_existing(path)
    if journal is None:
        return JournalWriter(path, resume_at=0 if path.exists() else None), Outcome(Finished())
    check_resumable(journal, header)
    outcome = Outcome(
        finished=Finished(journal.trials, journal.comparisons),
        ceilings=journal.ceilings[-1] if journal.ceilings else None,
        workloads=dict(journal.workloads),
    )
    return JournalWriter(path, resume_at=journal.whole_bytes), outcome


@contextlib.contextmanager
def _output(out: Path) -> Iterator[None]:
    """Makes the directory and holds it: two runs into one journal would mix."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        lock = FileLock(out / ".lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise OutputError(f"another dsabench is writing to {out}; choose another --out") from None
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror or error}; choose another --out") from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does, with its end written down."""

    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    try:
        previous = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread: the application has its own ways
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


__all__ = ["OutputError", "Request", "ResumeError", "SessionResult", "journal_header", "run_session"]
