"""`dsabench compare --dense`: options checked, the run, what is printed and written of it."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dsabench.cli.errors import EXIT_ERROR, EXIT_INTERRUPTED, CommandError, UsageError
from dsabench.cli.known_errors import known_errors

if TYPE_CHECKING:
    from dsabench.autotune.budget import Budget
    from dsabench.autotune.compare.progress import Progress
    from dsabench.autotune.compare.question import Question
    from dsabench.autotune.compare.session import CompareRequest, CompareResult
    from dsabench.bench.records import Header
    from dsabench.bench.scaling.bill import Price

DOCUMENT_SCHEMA = 1
ROWS_NAME = "rows.csv"
LOSSES_NAME = "losses.csv"
_BUDGETS = {"cpu": "4m", "cuda": "8m"}
_CHUNKS = {"cpu": 64, "cuda": 2048}
"""Tokens of a prefill chunk. On two cores the indexer, top-k and attention of 64 tokens take about a second at 128K."""


@dataclass(frozen=True)
class DenseOptions:
    """As the command line gave them; None where it said nothing. begun: time.monotonic() at the start of the command."""

    phase: str | None
    context: str | None
    batch: int | None
    queries: int | None
    heads: int | None
    topk: int | None
    gpu_hour_usd: float
    other_ms: float
    inputs: str | None
    device: str
    budget: str | None
    effort: str | None
    seed: int | None
    out: str
    resume: bool
    losses: bool
    allow_busy: bool
    as_json: bool
    begun: float


def compare_dense(options: DenseOptions) -> int:
    """Exit code 0 when both sides were measured at one context at least."""
    from dsabench.bench.scaling.bill import Price

    price = Price(_positive("gpu-hour-usd", options.gpu_hour_usd), _positive("other-ms", options.other_ms, zero=True))
    with _known_errors():
        request = _request(options)
        result = _session(request, options.as_json)
    csv = _write_csv(result, price, request)
    report = _write_report(result, request)
    if options.as_json:
        print(json.dumps(_document(result, request, price, csv, report), indent=1))
    else:
        _print_result(result, request, price, csv, report)
    if result.end.reason == "interrupted":
        return EXIT_INTERRUPTED
    return 0 if any(point.speedup is not None for point in result.points) else EXIT_ERROR


def _positive(name: str, value: float, zero: bool = False) -> float:
    if math.isfinite(value) and (value > 0 or (zero and value == 0)):
        return value
    raise UsageError(f"{name} must be {'at least' if zero else 'above'} 0, got {value:g}")


@contextmanager
def _known_errors() -> Iterator[None]:
    """Besides those of every command, what is wrong with the question or the real inputs."""
    from dsabench.autotune.compare.question import QuestionError
    from dsabench.bench.losses.dumps import DumpError

    try:
        with known_errors():
            yield
    except (DumpError, QuestionError) as error:
        raise UsageError(str(error)) from error


def _request(options: DenseOptions) -> CompareRequest:
    """Checks all that can be checked before a worker starts. With `resume`, what the command line leaves open is as the
    journal's header says."""
    from dsabench.autotune.budget import Budget, BudgetError, parse_duration
    from dsabench.autotune.compare.question import parse_question
    from dsabench.autotune.compare.session import CompareRequest
    from dsabench.autotune.run_folder import journal_header
    from dsabench.bench.device import resolve_device
    from dsabench.bench.effort import EFFORTS
    from dsabench.bench.journal import JOURNAL_NAME, refuse_existing
    from dsabench.bench.losses.dumps import check_dump
    from dsabench.kernels.op import UnknownNameError

    out = Path(options.out)
    header: Header | None = None
    if options.resume:
        header = journal_header(out)
    else:
        refuse_existing(out / JOURNAL_NAME)
    effort = options.effort or (header.effort if header else "quick")
    if effort not in EFFORTS:
        raise UnknownNameError("effort", effort, list(EFFORTS))
    device = resolve_device(options.device)
    device_type = "cpu" if device == "cpu" else "cuda"
    question = _question(options, parse_question(header.suite) if header else None, device_type)
    if not options.losses and options.inputs is not None:
        raise UsageError("--inputs is for losses; leave --no-losses out")
    dump = Path(options.inputs) if options.inputs is not None else None
    if dump is not None:
        check_dump(dump)
    try:
        seconds = parse_duration(options.budget or _BUDGETS[device_type])
    except BudgetError as error:
        raise UsageError(f"budget: {error}") from None
    return CompareRequest(
        question=question,
        device=device,
        budget=Budget(seconds, options.begun),
        effort=effort,
        seed=options.seed if options.seed is not None else header.seed if header else 0,
        out=out,
        resume=options.resume,
        losses=options.losses,
        dump=dump,
        command=shlex.join(["dsabench", *sys.argv[1:]]),
        allow_busy=options.allow_busy,
    )


def _question(options: DenseOptions, before: Question | None, device_type: str) -> Question:
    from dsabench.autotune.compare.question import DEFAULT_CONTEXTS, Question, parse_lengths, parse_phase

    def chosen(given: int | None, recorded: int | None, default: int) -> int:
        return given if given is not None else recorded if recorded is not None else default

    phase = parse_phase(options.phase) if options.phase is not None else before.phase if before else "decode"
    if options.context is not None:
        contexts = parse_lengths(options.context)
    else:
        contexts = before.contexts if before else parse_lengths(DEFAULT_CONTEXTS)
    # A chunk is cut to the shortest context when nobody chose it: --context 16 needs no --queries then.
    chunk = 1 if phase == "decode" else min(_CHUNKS[device_type], contexts[0])
    return Question(
        phase=phase,
        contexts=contexts,
        batch=chosen(options.batch, before.batch if before else None, 1),
        queries=chosen(options.queries, before.queries if before else None, chunk),
        heads=chosen(options.heads, before.heads if before else None, 128),
        topk=chosen(options.topk, before.topk if before else None, 2048),
    )


def _session(request: CompareRequest, as_json: bool) -> CompareResult:
    from rich.console import Console

    from dsabench.autotune.compare.progress import LiveProgress, PlainProgress
    from dsabench.autotune.compare.session import run_comparison

    def make_progress(budget: Budget) -> Progress:
        if as_json:
            return PlainProgress(sys.stderr, budget)
        console = Console()
        return LiveProgress(console, budget) if console.is_terminal else PlainProgress(sys.stdout, budget)

    return run_comparison(request, make_progress)


def _write_csv(result: CompareResult, price: Price, request: CompareRequest) -> list[Path]:
    """rows.csv and losses.csv beside the journal, those that have a row."""
    import pandas as pd

    from dsabench.bench.scaling.rows import flat_loss_rows, flat_pipeline_rows, pipeline_rows

    tables = {
        ROWS_NAME: flat_pipeline_rows(pipeline_rows(result.points, price, request.seed)),
        LOSSES_NAME: flat_loss_rows(result.losses),
    }
    written = []
    for name, rows in tables.items():
        if not rows:
            continue
        path = request.out / name
        try:
            pd.DataFrame(rows).to_csv(path, index=False)
        except OSError as error:
            raise CommandError(
                f"cannot write {path}: {error.strerror or error}; the journal {result.journal} is whole"
            ) from error
        written.append(path)
    return written


def _write_report(result: CompareResult, request: CompareRequest) -> Path | None:
    if result.end.reason == "interrupted" or not result.points:
        return None
    from dsabench.reports.build import ReportError, build_report

    try:
        return build_report([result.journal], request.out)
    except ReportError as error:
        raise CommandError(f"{error}; the journal {result.journal} is whole: `dsabench report` reads it") from error


def _print_result(
    result: CompareResult, request: CompareRequest, price: Price, csv: list[Path], report: Path | None
) -> None:
    from rich.console import Console

    from dsabench.bench.scaling.words import summary
    from dsabench.cli.compare_table import LEGEND, comparison_table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a pipe has no width; nothing is to be cut off in a log
    if result.points:
        console.print(comparison_table(result.points, price, request.seed))
        console.print(LEGEND, style="dim", highlight=False)
    lines = summary(result.points, result.losses, price, request.seed)
    lines += [f"not done: {skipped}" for skipped in result.end.skipped]
    lines.append(f"ended: {result.end.reason}, {result.end.wall_s:.0f} s")
    lines.append(f"journal: {result.journal}")
    if csv:
        lines.append(f"rows: {', '.join(str(path) for path in csv)}")
    if report:
        lines.append(f"report: {report}")
    if result.end.reason == "interrupted":
        lines.append(f"interrupted: dsabench compare --dense --out {shlex.quote(str(request.out))} --resume goes on")
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _document(
    result: CompareResult, request: CompareRequest, price: Price, csv: list[Path], report: Path | None
) -> dict[str, Any]:
    from dataclasses import asdict

    from dsabench.bench.scaling.bill import cache_bytes
    from dsabench.bench.scaling.cost import LAYERS, PUBLISHED, PUBLISHED_CONTEXT, PUBLISHED_MACHINE
    from dsabench.bench.scaling.points import crossover_of, growths_of, prompt_growths
    from dsabench.bench.scaling.rows import latest_losses, pipeline_rows
    from dsabench.bench.scaling.words import gap_lines, summary

    crossing = crossover_of(result.points, request.seed)
    sets = {"token": growths_of(result.points, request.seed)}
    if request.question.phase == "prefill":
        sets["prompt"] = prompt_growths(result.points, request.seed)
    cache = cache_bytes(result.points)
    return {
        "schema": DOCUMENT_SCHEMA,
        "command": "compare",
        "mode": "dense",
        "end": result.end.reason,
        "wall_s": result.end.wall_s,
        "device": result.header.device.model_dump(),
        **asdict(request.question),
        "effort": request.effort,
        "seed": request.seed,
        "rows": pipeline_rows(result.points, price, request.seed),
        "crossover": asdict(crossing) | {"words": crossing.words(request.question.phase)} if crossing else None,
        "growth": [{"per": per, **asdict(each)} for per, growths in sets.items() for each in growths],
        "memory": {"dense": cache.dense, "sparse": cache.sparse, "saving": cache.saving, "layers": LAYERS},
        "cost": {
            "gpu_hour_usd": price.usd_per_hour,
            "other_ms": price.other_ms,
            "layers": LAYERS,
            "published": asdict(PUBLISHED[request.question.phase])
            | {"context": PUBLISHED_CONTEXT, "machine": PUBLISHED_MACHINE},
        },
        "losses": [loss.model_dump(exclude={"kind"}) for loss in latest_losses(result.losses)],
        "summary": summary(result.points, result.losses, price, request.seed),
        "gaps": gap_lines(result.points),
        "skipped": result.end.skipped,
        "journal": str(result.journal),
        "csv": [str(path) for path in csv],
        "report": str(report) if report else None,
    }
