"""A whole run of `compare`: checked, journal opened or continued, measured, its end written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dsabench.autotune.ahead import CompileAhead
from dsabench.autotune.budget import Budget
from dsabench.autotune.measuring import Run
from dsabench.autotune.opened import Opening, opened_journal, opened_worker
from dsabench.autotune.outcome import Outcome, outcome_of
from dsabench.autotune.plan import Plan, make_plan
from dsabench.autotune.progress import Progress
from dsabench.autotune.resume import ResumeError
from dsabench.autotune.run_folder import journal_header
from dsabench.autotune.run_records import run_header, timing_policy
from dsabench.autotune.run_to_end import run_to_end
from dsabench.autotune.side_by_side.choice import Choice, choose_config
from dsabench.autotune.side_by_side.comparing import SideBySide
from dsabench.autotune.terminable import terminable
from dsabench.bench.claim import describe, device_type
from dsabench.bench.effort import EFFORTS
from dsabench.bench.journal import JOURNAL_NAME
from dsabench.bench.records import DeviceRecord, End, Header
from dsabench.bench.suites import load_suite
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
    if request.resume:
        _refuse_others(request.out)
    opening = Opening(
        request.out, request.resume, request.device, request.command, request.budget, plugins, request.allow_busy
    )
    with opened_worker(opening, make_progress) as (worker, progress):
        header = _header(request, plan, describe(worker))
        choices = {
            pair.name: choose_config(header.device.key, pair.workload, pair.implementation) for pair in plan.pairs
        }
        with (
            opened_journal(request.out, header, request.resume) as (writer, journal),
            CompileAhead(()) as ahead,  # one config of each: nothing to leave out
            terminable(),
        ):
            outcome = outcome_of(journal)
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
            comparing = SideBySide(run, plan, choices)
            ended = run_to_end(comparing.compare, outcome, writer, worker, request.budget)
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
