"""The loop of `compare --dense`: a pipeline point a context, then what selecting loses, each journaled when it is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dsabench.autotune.budget import Budget
from dsabench.autotune.compare.progress import Progress
from dsabench.autotune.compare.question import INDEX_HEADS, Question
from dsabench.autotune.progress import format_seconds
from dsabench.autotune.run_records import now
from dsabench.bench.effort import Effort
from dsabench.bench.jobs import DumpedInputs, LossJob, LossPoints, PipelineJob, PipelineOutcome, Stage, SyntheticInputs
from dsabench.bench.journal import JournalWriter
from dsabench.bench.losses.losses import LOSS_KS
from dsabench.bench.losses.structures import LEAST_CONTEXT, STRUCTURES
from dsabench.bench.records import LossPoint, PipelinePoint
from dsabench.bench.scaling.lengths import format_length
from dsabench.bench.worker import JobFailed, Worker, WorkerDied, WorkerTimeout

LEAST_POINT_S = 2.0
"""No point or loss is begun with less time than this left: it would only be cut off."""
LEAST_LIMIT_S = 60.0
"""What a point or a loss may always take where the budget allows it, so that only one that hangs is cut off for its length."""
FIXED_LENGTH = 16384
"""A point costs about as much as this many keys before its first key: references, checks, rounds of short calls."""
MOST_LOSS_CONTEXT = 32768
"""Losses are measured at one length: their reference in float32 takes 0.1 s a query there, four times that at 128K."""
SIDES = ("sparse", "dense", "eager")
LOSS_QUERIES = {"quick": 16, "full": 64}


@dataclass
class Measured:
    """What the journal holds, and what was planned and not done."""

    points: list[PipelinePoint] = field(default_factory=list)
    losses: list[LossPoint] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    budget_ended: bool = False

    def has_point(self, context: int) -> bool:
        """A point without a single side is one whose worker crashed: it is tried again when a run goes on."""
        return any(p.context == context and (p.sparse or p.dense) for p in self.points)


@dataclass(frozen=True)
class Comparer:
    """`reserve_s` of the budget is left for what comes after (the report). losses: measure them; dump: real inputs besides.
    JournalError and WorkerStartError pass through its methods."""

    question: Question
    seed: int
    effort: Effort
    budget: Budget
    reserve_s: float
    losses: bool
    dump: Path | None
    journal: JournalWriter
    worker: Worker
    progress: Progress
    measured: Measured

    @property
    def time_left(self) -> float:
        return self.budget.left - self.reserve_s

    def compare(self) -> None:
        left = [context for context in self.question.contexts if not self.measured.has_point(context)]
        for i, context in enumerate(left):
            weights = [each + FIXED_LENGTH for each in left[i:]]
            self._point(context, self.time_left * weights[0] / sum(weights))
        if self.losses:
            for job, what in self._loss_jobs():
                self._loss(job, what)

    def _point(self, context: int, share_s: float) -> None:
        what = f"{self.question.phase} at {format_length(context)}"
        if self._out_of_time(what):
            return
        self.progress.now(what)
        q = self.question
        job = PipelineJob(
            phase=q.phase,
            context=context,
            batch=q.batch,
            queries=q.queries,
            heads=q.heads,
            topk=q.topk,
            index_heads=INDEX_HEADS,
            seed=self.seed,
            rounds=self.effort.rounds,
            least_rounds=self.effort.least_rounds,
            round_s=self.effort.round_s,
            time_s=min(3 * self.effort.confirm_s, share_s / 2),
        )
        point = self._measure(job, what, max(LEAST_LIMIT_S, 2 * share_s))
        if point is None:
            return
        self.journal.write(point)
        self.measured.points.append(point)
        self.progress.done(point_line(point))

    def _measure(self, job: PipelineJob, what: str, limit_s: float) -> PipelinePoint | None:
        """None when the budget ended. A side that takes the worker with it is left out of a second try, with its reason: dense that
        the kernel kills for its memory must not cost sparse its point."""
        started, begin = now(), time.monotonic()
        while True:
            try:
                outcome = self.worker.do(job, min(limit_s, self.time_left))
            except JobFailed as failed:
                return self._missing(job.context, failed.failure.reason, started, time.monotonic() - begin)
            except (WorkerDied, WorkerTimeout) as failure:
                if self._out_of_time(what):
                    return None
                died = isinstance(failure, WorkerDied)
                reason = f"the worker crashed: {failure.reason}" if died else failure.reason
                # Where nobody is to blame, in building or in a reference, sparse alone may still fit: dense takes more.
                side = blamed(failure.stage) or ("dense" if died else None)
                if side is None or side in job.without:
                    return self._missing(job.context, reason, started, time.monotonic() - begin)
                self.progress.done(f"{what}: {reason}; once more without {side}")
                job = replace(job, without={**job.without, side: reason})
            else:
                assert isinstance(outcome, PipelineOutcome)
                if outcome.lost:
                    self.worker.kill()  # the next job starts a fresh one
                return outcome.point

    def _missing(self, context: int, reason: str, started: str, duration_s: float) -> PipelinePoint:
        """A point of which there is nothing but the reason."""
        shape = self.question.shape(context)
        return PipelinePoint(
            phase=shape.phase,
            context=context,
            queries=shape.tokens,
            axes=shape.axes,
            distribution="normal",
            seed=self.seed,
            sparse=None,
            dense=None,
            eager=None,
            gaps=dict.fromkeys(SIDES, reason),
            speedup=None,
            noise=0.0,
            started=started,
            duration_s=duration_s,
        )

    def _loss_jobs(self) -> Iterator[tuple[LossJob, str]]:
        """Those that the journal lacks. Synthetic inputs stand for the longest context asked for that is not past
        MOST_LOSS_CONTEXT, else for the shortest."""
        contexts = self.question.contexts
        context = max((c for c in contexts if c <= MOST_LOSS_CONTEXT), default=contexts[0])
        least = max(LEAST_CONTEXT, 1 + min(*LOSS_KS, self.question.topk))
        if context < least:
            self.measured.skipped.append(
                f"losses: synthetic inputs need a context of {least} for a k that leaves keys out, got {context}"
            )
        else:
            queries = min(LOSS_QUERIES[self.effort.name], context // 4)
            for structure in STRUCTURES:
                inputs = SyntheticInputs(structure, context, queries, self.question.heads, self.seed)
                ks = self._ks_to_do(structure, context)
                if ks:
                    yield LossJob(inputs, ks), f"losses, {structure.replace('_', ' ')}, {format_length(context)}"
        if self.dump is not None:
            ks = self._ks_to_do(self.dump.name, None)
            if ks:
                yield LossJob(DumpedInputs(self.dump), ks), f"losses, {self.dump.name}"

    def _ks_to_do(self, structure: str, context: int | None) -> tuple[int, ...]:
        """Of the ks to measure, the question's own among them, those below the context that the journal has not."""
        done = {p.k for p in self.measured.losses if p.structure == structure and context in (None, p.context)}
        wanted = sorted({*LOSS_KS, self.question.topk})
        return tuple(k for k in wanted if k not in done and (context is None or k < context))

    def _loss(self, job: LossJob, what: str) -> None:
        if self._out_of_time(what):
            return
        self.progress.now(what)
        try:
            found = self.worker.do(job, self.time_left)
        except (WorkerDied, JobFailed) as failed:
            reason = failed.failure.reason if isinstance(failed, JobFailed) else failed.reason
            self.measured.skipped.append(f"{what}: {reason}")
            self.progress.done(f"skipped {self.measured.skipped[-1]}")
            return
        except WorkerTimeout:
            self._out_of_time(what)
            return
        assert isinstance(found, LossPoints)
        for point in found.points:
            self.journal.write(point)
            self.measured.losses.append(point)
        kept = ", ".join(f"{p.mass.median:.0%} of {p.k}" for p in found.points)
        self.progress.done(f"{what}: weight kept {kept}")

    def _out_of_time(self, what: str) -> bool:
        """Notes it as skipped when too little time is left to begin it."""
        if self.time_left >= LEAST_POINT_S:
            return False
        self.measured.budget_ended = True
        self.measured.skipped.append(f"{what}: the budget ended")
        self.progress.done(f"skipped {self.measured.skipped[-1]}")
        return True


def blamed(stage: Stage | None) -> str | None:
    """The side that a worker was busy with at its last sign of life."""
    words = stage.text.replace(",", " ").split() if stage else []
    return next((side for side in SIDES if side in words), None)


def point_line(point: PipelinePoint) -> str:
    """`decode at 8K: dense 6.1 ms, sparse 3.1 ms, speed-up 1.97`, and what is missing."""
    sides = {"dense": point.dense, "sparse": point.sparse}
    words = [f"{name} {format_seconds(side.time.median_s)}" for name, side in sides.items() if side is not None]
    if point.speedup is not None:
        words.append(f"speed-up {point.speedup.ratio:.3g}")
    by_reason: dict[str, list[str]] = {}
    for name, reason in point.gaps.items():
        by_reason.setdefault(reason, []).append(name)
    words += [f"no {', '.join(names)}: {reason}" for reason, names in by_reason.items()]
    return f"{point.phase} at {format_length(point.context)}: {', '.join(words)}"
