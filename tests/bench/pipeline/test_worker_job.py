"""The job through a real worker process, once."""

from __future__ import annotations

from dsabench.bench.jobs import PipelineJob, PipelineOutcome
from dsabench.bench.worker import Worker


def test_a_point_comes_back_from_the_worker(tmp_path) -> None:
    stages: list[str] = []
    job = PipelineJob(
        phase="decode", context=300, batch=2, queries=1, heads=16, topk=64, seed=1, rounds=3, least_rounds=3,
        round_s=1e-3, time_s=5.0,
    )  # fmt: skip
    with Worker(tmp_path / "worker.log", on_stage=lambda stage: stages.append(stage.text)) as worker:
        outcome = worker.do(job, 120.0)
    assert isinstance(outcome, PipelineOutcome)
    assert not outcome.lost
    assert outcome.point.gaps == {}
    assert outcome.point.sparse is not None
    assert outcome.point.dense is not None
    assert outcome.point.speedup is not None
    assert stages[0] == "build"
    assert {"sparse", "dense", "eager", "reference"} <= set(stages)
