"""A whole run of `compare --dense`: checked, journal opened or continued, measured, its end written down."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dsabench.autotune.budget import Budget
from dsabench.autotune.compare.comparing import Comparer, Measured
from dsabench.autotune.compare.progress import Progress
from dsabench.autotune.compare.question import Question
from dsabench.autotune.resume import check_resumable
from dsabench.autotune.run_folder import WORKER_LOG, existing_journal, held_folder
from dsabench.autotune.run_records import EndReason, run_end, run_header
from dsabench.autotune.terminable import terminable
from dsabench.bench.claim import claimed_worker, describe
from dsabench.bench.effort import EFFORTS
from dsabench.bench.journal import JOURNAL_NAME, JournalError, JournalWriter, refuse_existing
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
    with held_folder(request.out), contextlib.ExitStack() as stack:
        if not request.resume:
            refuse_existing(request.out / JOURNAL_NAME)  # before a worker takes its seconds to start
        progress = make_progress(request.budget)
        stack.callback(progress.close)
        log = request.out / WORKER_LOG
        worker = stack.enter_context(
            claimed_worker(request.device, log, request.command, on_stage=progress.stage, allow_busy=request.allow_busy)
        )
        header = _header(request, describe(worker))
        writer, measured = _open_journal(request, header)
        stack.enter_context(writer)
        writer.write(header)
        stack.enter_context(terminable())
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

    def end(reason: EndReason, detail: str = "") -> End:
        record = run_end(reason, detail, request.budget.used, measured.skipped)
        writer.write(record)
        return record

    try:
        comparer.compare()
    except KeyboardInterrupt:
        worker.kill()
        ended = end("interrupted", "stopped by the user; --resume goes on")
    except Exception as error:
        worker.kill()
        with contextlib.suppress(JournalError):
            end("error", f"{type(error).__name__}: {error}")
        raise
    else:
        ended = end("budget" if measured.budget_ended else "complete")
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


def _open_journal(request: CompareRequest, header: Header) -> tuple[JournalWriter, Measured]:
    path = request.out / JOURNAL_NAME
    if not request.resume:
        return JournalWriter(path), Measured()
    journal = existing_journal(path)
    if journal is None:
        return JournalWriter(path, resume_at=0 if path.exists() else None), Measured()
    check_resumable(journal, header)
    return JournalWriter(path, resume_at=journal.whole_bytes), Measured(journal.pipelines, journal.losses)
