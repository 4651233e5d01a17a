"""A whole run of `compare`: checked, journal opened or continued, measured, its end written down."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dsabench.autotune.ahead import CompileAhead
from dsabench.autotune.budget import Budget
from dsabench.autotune.measuring import Run
from dsabench.autotune.outcome import Outcome
from dsabench.autotune.plan import Plan, make_plan
from dsabench.autotune.progress import Progress
from dsabench.autotune.resume import ResumeError
from dsabench.autotune.run_folder import WORKER_LOG, held_folder, journal_header
from dsabench.autotune.run_journal import open_run_journal
from dsabench.autotune.run_records import EndReason, run_end, run_header, timing_policy
from dsabench.autotune.side_by_side.choice import Choice, choose_config
from dsabench.autotune.side_by_side.comparing import SideBySide
from dsabench.autotune.terminable import terminable
from dsabench.bench.claim import claimed_worker, describe, device_type
from dsabench.bench.effort import EFFORTS
from dsabench.bench.journal import JOURNAL_NAME, JournalError, JournalWriter, refuse_existing
from dsabench.bench.records import DeviceRecord, End, Header
from dsabench.bench.suites import load_suite
from dsabench.bench.worker import Worker
from dsabench.kernels.registry import load_plugin
from dsabench.kernels.source_hash import source_hash

STRATEGY = "compare"
"""Of the header: its configs were not searched for."""
TRIAL_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class SideBySideRequest:
    """device: as `resolve_device` returns it; budget counts from the start of the command; seed: added to every workload's, and of
    the rounds' order; plugins: files."""

    suite: str
    ops: tuple[str, ...]
    impls: tuple[str, ...]
    contexts: tuple[int, ...] | None
    device: str
    budget: Budget
    effort: str
    seed: int
    out: Path
    resume: bool
    plugins: tuple[str, ...]
    command: str
    allow_busy: bool = False


@dataclass(frozen=True)
class SideBySideResult:
    """choices: by the name of a pair of the plan."""

    header: Header
    plan: Plan
    choices: Mapping[str, Choice]
    outcome: Outcome
    end: End
    journal: Path


def run_side_by_side(request: SideBySideRequest, make_progress: Callable[[Budget], Progress]) -> SideBySideResult:
    """Raises before anything is measured: DeviceError, PluginError, UnknownNameError, SuiteError, OutputError, JournalError,
    ResumeError, TableError, WorkerStartError; later WorkerStartError and JournalError (a full disk). An interruption ends in a
    result, not an exception."""
    plugins = tuple(str(Path(p).resolve()) for p in request.plugins)
    for path in plugins:
        load_plugin(path)
    suite = load_suite(request.suite, request.contexts, request.ops)
    workloads = [replace(workload, seed=workload.seed + request.seed) for workload in suite.workloads]
    plan = _asked_for(make_plan(workloads, request.impls, device_type(request.device)))
    with held_folder(request.out), contextlib.ExitStack() as stack:
        if request.resume:
            _refuse_others(request.out)
        else:
            refuse_existing(request.out / JOURNAL_NAME)  # before a worker takes its seconds to start
        progress = make_progress(request.budget)
        stack.callback(progress.close)
        log = request.out / WORKER_LOG
        worker = stack.enter_context(
            claimed_worker(request.device, log, request.command, plugins, progress.stage, request.allow_busy)
        )
        header = _header(request, plan, describe(worker))
        choices = {
            pair.name: choose_config(header.device.key, pair.workload, pair.implementation) for pair in plan.pairs
        }
        writer, outcome = open_run_journal(request.out, header, request.resume)
        stack.enter_context(writer)
        writer.write(header)
        ahead = stack.enter_context(CompileAhead(()))  # one config of each: nothing to leave out
        stack.enter_context(terminable())
        run = Run(
            header=header,
            effort=EFFORTS[request.effort][header.device.type],
            budget=request.budget,
            reserve_s=0.0,
            trial_timeout_s=TRIAL_TIMEOUT_S,
            journal=writer,
            worker=worker,
            ahead=ahead,
            progress=progress,
            outcome=outcome,
        )
        ended = _run(SideBySide(run, plan, choices), request, outcome, worker, writer)
        return SideBySideResult(header, plan, choices, outcome, ended, writer.path)


def _asked_for(plan: Plan) -> Plan:
    """Without the baseline that a search is measured against where others were asked for."""
    return replace(plan, pairs=tuple(pair for pair in plan.pairs if pair.search))


def _refuse_others(out: Path) -> None:
    header = journal_header(out)
    if header is not None and header.strategy != STRATEGY:
        raise ResumeError(
            f"cannot resume {out / JOURNAL_NAME}: it was not begun by `dsabench compare` of implementations but by "
            f"`{header.command}`; choose another --out"
        )


def _run(
    comparing: SideBySide, request: SideBySideRequest, outcome: Outcome, worker: Worker, writer: JournalWriter
) -> End:
    def end(reason: EndReason, detail: str = "") -> End:
        record = run_end(reason, detail, request.budget.used, outcome.skipped)
        writer.write(record)
        return record

    try:
        comparing.compare()
    except KeyboardInterrupt:
        worker.kill()
        return end("interrupted", "stopped by the user; --resume goes on")
    except Exception as error:
        worker.kill()
        with contextlib.suppress(JournalError):
            end("error", f"{type(error).__name__}: {error}")
        raise
    return end("budget" if outcome.budget_ended else "complete")


def _header(request: SideBySideRequest, plan: Plan, device: DeviceRecord) -> Header:
    effort = EFFORTS[request.effort][device.type]
    policy = timing_policy(effort, device.type, TRIAL_TIMEOUT_S)
    del policy["confirmation"]
    policy["rounds"] = (
        f"every implementation with its tuned or default config, the fastest twice, {effort.least_rounds} to {effort.rounds} "
        f"interleaved rounds in random order"
    )
    return run_header(
        command=request.command,
        device=device,
        sources={impl.id: source_hash(impl.op, impl.name) for impl in plan.implementations()},
        suite=request.suite,
        strategy=STRATEGY,
        effort=request.effort,
        seed=request.seed,
        budget_s=request.budget.seconds,
        timing_policy=policy,
    )
