"""A whole run of `compare --dense`: checked, journal opened or continued, measured, its end written down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dsabench.autotune.budget import Budget
from dsabench.autotune.compare.comparing import Comparer, Measured
from dsabench.autotune.compare.progress import Progress
from dsabench.autotune.compare.question import Question
from dsabench.autotune.opened import Opening, opened_journal, opened_worker
from dsabench.autotune.run_records import run_header
from dsabench.autotune.run_to_end import run_to_end
from dsabench.autotune.terminable import terminable
from dsabench.bench.claim import describe
from dsabench.bench.effort import EFFORTS
from dsabench.bench.journal import JournalWriter
from dsabench.bench.records import DeviceRecord, End, Header, LossPoint, PipelinePoint
from dsabench.bench.worker import Worker
from dsabench.kernels.registry import get_implementation, implementation_names
from dsabench.kernels.source_hash import source_hash

REPORT_RESERVE_S = 10.0
"""Kept from the budget for report and CSV; at most a quarter of the budget."""
_OPS = {
    "decode": ("paged_indexer_logits", "topk_select", "sparse_mla_decode", "dense_mla_decode"),
    "prefill": ("indexer_logits", "topk_select", "sparse_mla_prefill", "dense_mha_prefill"),
}


@dataclass(frozen=True)
class CompareRequest:
    """device: as `resolve_device` returns it; budget counts from the start of the command; losses: measure what selecting loses;
    dump: a file of real inputs for that, too."""

    question: Question
    device: str
    budget: Budget
    effort: str
    seed: int
    out: Path
    resume: bool
    losses: bool
    dump: Path | None
    command: str
    allow_busy: bool = False


@dataclass(frozen=True)
class CompareResult:
    """points and losses: all that the journal holds, those of earlier runs into it too."""

    header: Header
    points: list[PipelinePoint]
    losses: list[LossPoint]
    end: End
    journal: Path


def run_comparison(request: CompareRequest, make_progress: Callable[[Budget], Progress]) -> CompareResult:
    """Raises before anything is measured: DeviceError, OutputError, JournalError, ResumeError, WorkerStartError; later
    WorkerStartError and JournalError (a full disk). An interruption ends in a result, not an exception."""
    opening = Opening(
        request.out, request.resume, request.device, request.command, request.budget, allow_busy=request.allow_busy
    )
    with opened_worker(opening, make_progress) as (worker, progress):
        header = _header(request, describe(worker))
        with opened_journal(request.out, header, request.resume) as (writer, journal), terminable():
            measured = Measured(journal.pipelines, journal.losses) if journal else Measured()
            return _run(request, header, writer, measured, worker, progress)


def _run(
    request: CompareRequest,
    header: Header,
    writer: JournalWriter,
    measured: Measured,
    worker: Worker,
    progress: Progress,
) -> CompareResult:
    comparer = Comparer(
        question=request.question,
        seed=request.seed,
        effort=EFFORTS[request.effort][header.device.type],
        budget=request.budget,
        reserve_s=min(REPORT_RESERVE_S, request.budget.seconds / 4),
        losses=request.losses,
        dump=request.dump,
        journal=writer,
        worker=worker,
        progress=progress,
        measured=measured,
    )

    ended = run_to_end(comparer.compare, measured, writer, worker, request.budget)
    return CompareResult(header, measured.points, measured.losses, ended, writer.path)


def _header(request: CompareRequest, device: DeviceRecord) -> Header:
    effort = EFFORTS[request.effort][device.type]
    sources = {
        f"{op}/{impl}": source_hash(op, impl)
        for op in _OPS[request.question.phase]
        for impl in implementation_names(op)
        if device.type in get_implementation(op, impl).device_types
    }
    return run_header(
        command=request.command,
        device=device,
        sources=sources,
        suite=request.question.suite(),
        strategy="compare-dense",
        effort=request.effort,
        seed=request.seed,
        budget_s=request.budget.seconds,
        timing_policy={
            "rounds": f"{effort.least_rounds} to {effort.rounds} interleaved rounds in random order of sparse, its stages, dense "
            f"and eager dense, on the same inputs",
            "worker environment": "set before torch and numba are imported; device details, env.*",
        },
    )
