"""The loop against a scripted worker: what is asked of it, what is journaled, what a fault costs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dsabench.autotune.budget import Budget
from dsabench.autotune.compare.comparing import Comparer, Measured, blamed, point_line
from dsabench.autotune.compare.question import Question
from dsabench.bench.effort import QUICK
from dsabench.bench.jobs import DumpedInputs, Failure, LossJob, LossPoints, PipelineOutcome, Stage, SyntheticInputs
from dsabench.bench.journal import JournalWriter
from dsabench.bench.worker import JobFailed, WorkerDied, WorkerTimeout
from tests.bench.scaling.pipeline_points import decode_stages, loss, point

CONTEXTS = (4096, 8192, 16384)


class Scripted:
    """Answers every job; `faults[context]` (or a structure) is raised instead."""

    def __init__(self, faults=None, lost=()) -> None:
        self.faults = faults or {}
        self.lost = lost
        self.kills = 0
        self.jobs: list = []
        self.limits: list[float] = []

    def do(self, job, limit: float):
        self.jobs.append(job)
        self.limits.append(limit)
        if isinstance(job, LossJob):
            name = job.inputs.path.name if isinstance(job.inputs, DumpedInputs) else job.inputs.structure
            if name in self.faults:
                raise self.faults[name]
            context = 5000 if isinstance(job.inputs, DumpedInputs) else job.inputs.context
            return LossPoints(tuple(loss(name, k, 0.5, context=context) for k in job.ks))
        if job.context in self.faults:
            fault = self.faults[job.context]
            if not isinstance(fault, list):
                raise fault
            if fault:
                raise fault.pop(0)
        dense = None if "dense" in job.without else 3e-7 * job.context
        found = point(job.context, dense, decode_stages(job.context), gaps=job.without)
        return PipelineOutcome(found, lost=job.context in self.lost)

    def kill(self) -> None:
        self.kills += 1


class Silent:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def now(self, text: str) -> None: ...
    def stage(self, stage) -> None: ...
    def close(self) -> None: ...
    def done(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def comparer(tmp_path):
    def make(
        worker, *, contexts=CONTEXTS, seconds=600.0, reserve=0.0, measured=None, losses=False, dump=None, topk=2048
    ):
        return Comparer(
            question=Question("decode", contexts, topk=topk),
            seed=3,
            effort=QUICK,
            budget=Budget(seconds, time.monotonic()),
            reserve_s=reserve,
            losses=losses,
            dump=dump,
            journal=JournalWriter(tmp_path / "journal.jsonl"),
            worker=worker,
            progress=Silent(),
            measured=measured or Measured(),
        )

    return make


def journaled(comparer: Comparer) -> int:
    return comparer.journal.path.read_bytes().count(b"\n")


def test_each_context_is_asked_for_once_and_in_order(comparer):
    worker = Scripted()
    run = comparer(worker)
    run.compare()
    assert [job.context for job in worker.jobs] == list(CONTEXTS)
    assert {(j.phase, j.batch, j.queries, j.heads, j.topk, j.seed) for j in worker.jobs} == {
        ("decode", 1, 1, 128, 2048, 3)
    }
    assert [p.context for p in run.measured.points] == list(CONTEXTS)
    assert journaled(run) == 3
    assert run.measured.skipped == []


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (WorkerDied("killed by SIGSEGV during dense", None), "the worker crashed: killed by SIGSEGV during dense"),
        (WorkerTimeout("no answer within 60 s", None), "no answer within 60 s"),
        (JobFailed(Failure("MemoryError: too long", "", True)), "MemoryError: too long"),
    ],
)
def test_a_fault_costs_its_context_only_and_is_journaled_as_a_gap(comparer, fault, reason):
    run = comparer(Scripted({8192: fault}))
    run.compare()
    assert [p.context for p in run.measured.points] == list(CONTEXTS)
    missing = run.measured.points[1]
    assert (missing.sparse, missing.dense, missing.eager, missing.speedup) == (None, None, None, None)
    assert missing.gaps == dict.fromkeys(("sparse", "dense", "eager"), reason)
    assert journaled(run) == 3
    assert f"decode at 8K: no sparse, dense, eager: {reason}" in run.progress.lines
    assert not run.measured.budget_ended


@pytest.mark.parametrize("kind", [WorkerDied, WorkerTimeout])
def test_a_side_that_takes_the_worker_with_it_is_left_out_of_a_second_try(comparer, kind):
    worker = Scripted({8192: [kind("gone during dense", Stage("dense"))]})
    run = comparer(worker)
    run.compare()
    assert [(j.context, list(j.without)) for j in worker.jobs] == [
        (4096, []), (8192, []), (8192, ["dense"]), (16384, []),
    ]  # fmt: skip
    found = run.measured.points[1]
    assert found.sparse is not None
    assert "gone during dense" in found.gaps["dense"]


def test_a_death_that_nobody_is_to_blame_for_is_tried_again_without_dense(comparer):
    worker = Scripted({8192: [WorkerDied("SIGKILL (out of memory?) during build", Stage("build"))]})
    run = comparer(worker)
    run.compare()
    assert [list(j.without) for j in worker.jobs] == [[], [], ["dense"], []]
    assert run.measured.points[1].sparse is not None


def test_a_point_whose_every_try_dies_is_given_up(comparer):
    dying = [WorkerDied(f"gone during {side}", Stage(side)) for side in ("dense", "sparse", "eager", "eager", "eager")]
    worker = Scripted({8192: dying})
    run = comparer(worker)
    run.compare()
    assert [p.context for p in run.measured.points] == list(CONTEXTS)
    assert run.measured.points[1].sparse is None
    assert len(dying) == 1, "the second death of one side ends it"


def test_a_worker_that_lost_its_device_is_replaced(comparer):
    worker = Scripted(lost=(8192,))
    run = comparer(worker)
    run.compare()
    assert worker.kills == 1
    assert len(run.measured.points) == 3


@pytest.mark.parametrize(
    ("text", "side"), [("dense", "dense"), ("check sparse", "sparse"), ("eager, rounds", "eager"), ("build", None)]
)
def test_the_stage_names_who_is_to_blame(text, side):
    assert blamed(Stage(text)) == side
    assert blamed(None) is None


def test_what_the_journal_holds_is_not_measured_again_but_a_crashed_context_is(comparer):
    crashed = point(8192, None, None, gaps={"sparse": "crashed", "dense": "crashed"})
    half = point(16384, None, decode_stages(16384), gaps={"dense": "no memory"})
    worker = Scripted()
    run = comparer(worker, measured=Measured([point(4096, 1e-3, decode_stages(4096)), crashed, half]))
    run.compare()
    assert [job.context for job in worker.jobs] == [8192]


def test_without_time_nothing_is_begun_and_everything_is_named(comparer):
    worker = Scripted()
    run = comparer(worker, seconds=1.0, losses=True, dump=Path("layer.safetensors"))
    run.compare()
    assert worker.jobs == []
    assert run.measured.budget_ended
    assert run.measured.skipped[:3] == [f"decode at {c}: the budget ended" for c in ("4K", "8K", "16K")]
    assert len(run.measured.skipped) == 3 + 4 + 1
    assert run.measured.skipped[-1] == "losses, layer.safetensors: the budget ended"


def test_a_point_that_the_budget_cut_off_is_skipped_and_no_gap(comparer):
    run = comparer(Scripted(), seconds=4.0)

    def late(job, limit):
        run.budget.seconds = 0.0
        raise WorkerTimeout("no answer within 4 s", None)

    run.worker.do = late
    run.compare()
    assert run.measured.points == []
    assert run.measured.budget_ended
    assert journaled(run) == 0


def test_no_job_may_take_more_than_what_is_left_before_the_reserve(comparer):
    worker = Scripted()
    comparer(worker, seconds=30.0, reserve=10.0, losses=True).compare()
    assert max(worker.limits) <= 20.0
    shares = [job.time_s for job in worker.jobs[:3]]
    assert all(0 < share <= 3 * QUICK.confirm_s for share in shares)
    assert sum(shares) <= 20.0


def test_losses_are_asked_for_every_structure_with_the_models_k_and_the_questions(comparer):
    worker = Scripted()
    run = comparer(worker, losses=True, contexts=(4096, 131072))
    run.compare()
    jobs = [job for job in worker.jobs if isinstance(job, LossJob)]
    assert [job.inputs.structure for job in jobs] == ["spread", "concentrated", "needles", "near_ties"]
    assert {job.inputs.context for job in jobs} == {4096}
    assert {job.ks for job in jobs} == {(256, 512, 1024, 2048)}, "4096 of 4096 keys loses nothing"
    assert {job.inputs.seed for job in jobs} == {3}
    assert len(run.measured.losses) == 16
    assert journaled(run) == 2 + 16


def test_losses_stand_for_the_longest_context_that_is_affordable(comparer):
    worker = Scripted()
    comparer(worker, losses=True, contexts=(4096, 16384, 32768, 65536)).compare()
    (context,) = {j.inputs.context for j in worker.jobs if isinstance(j, LossJob)}
    assert context == 32768


def test_a_dump_is_measured_after_the_synthetic_inputs_with_every_k(comparer):
    worker = Scripted()
    run = comparer(worker, losses=True, dump=Path("layer.safetensors"))
    run.compare()
    last = worker.jobs[-1]
    assert last.inputs == DumpedInputs(Path("layer.safetensors"))
    assert last.ks == (256, 512, 1024, 2048, 4096)


def test_losses_that_the_journal_holds_are_not_measured_again(comparer):
    done = [loss("spread", k, 0.5, context=16384) for k in (256, 512, 1024, 2048, 4096)]
    done += [loss("needles", 256, 0.5, context=16384), loss("near_ties", 256, 0.5, context=8192)]
    worker = Scripted()
    comparer(worker, losses=True, measured=Measured([], done)).compare()
    asked = {j.inputs.structure: j.ks for j in worker.jobs if isinstance(j, LossJob)}
    assert asked == {
        "concentrated": (256, 512, 1024, 2048, 4096),
        "needles": (512, 1024, 2048, 4096),
        "near_ties": (256, 512, 1024, 2048, 4096),
    }


def test_a_loss_that_fails_is_named_and_the_others_go_on(comparer):
    run = comparer(Scripted({"spread": WorkerDied("killed by SIGKILL", None)}), losses=True)
    run.compare()
    assert run.measured.skipped == ["losses, spread, 16K: killed by SIGKILL"]
    assert {p.structure for p in run.measured.losses} == {"concentrated", "needles", "near_ties"}


def test_contexts_too_short_for_synthetic_inputs_are_said(comparer):
    worker = Scripted()
    run = comparer(worker, losses=True, contexts=(16, 32))
    run.compare()
    assert run.measured.skipped == [
        "losses: synthetic inputs need a context of 257 for a k that leaves keys out, got 32"
    ]
    assert not [job for job in worker.jobs if isinstance(job, LossJob)]


def test_queries_of_synthetic_inputs_fit_a_short_context(comparer):
    worker = Scripted()
    comparer(worker, losses=True, contexts=(64,), topk=48).compare()
    job = next(j for j in worker.jobs if isinstance(j, LossJob))
    assert job == LossJob(SyntheticInputs("spread", 64, 16, 128, 3), (48,))


def test_a_line_tells_a_point():
    assert point_line(point(8192, None, decode_stages(8192), gaps={"dense": "no memory"})).endswith(
        ", no dense: no memory"
    )
    assert "speed-up " in point_line(point(8192, 1e-3, decode_stages(8192)))
