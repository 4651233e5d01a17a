"""A loss job in a worker process, from synthetic inputs and from a dump; a bad one is one line."""

from __future__ import annotations

import pytest
from safetensors.torch import save_file

from dsabench.bench.jobs import DumpedInputs, LossJob, LossPoints, SyntheticInputs
from dsabench.bench.losses.structures import make_case
from dsabench.bench.records import LossPoint
from dsabench.bench.worker import JobFailed, Worker

KS = (16, 64, 512)


@pytest.fixture(scope="module")
def stages() -> list[str]:
    return []


@pytest.fixture(scope="module")
def worker(tmp_path_factory, stages):
    with Worker(tmp_path_factory.mktemp("worker") / "log", on_stage=lambda stage: stages.append(stage.text)) as worker:
        yield worker


def test_synthetic_inputs(worker, stages):
    result = worker.do(LossJob(SyntheticInputs("concentrated", 256, 2, 8, 3), KS), 100.0)
    assert isinstance(result, LossPoints)
    assert [p.k for p in result.points] == list(KS)
    for point in result.points:
        assert LossPoint.model_validate_json(point.model_dump_json()) == point
        assert (point.structure, point.synthetic, point.seed) == ("concentrated", True, 3)
        assert (point.context, point.queries, point.h_q) == (256, 2, 8)
    assert result.points[-1].recall.low == 1.0
    assert stages[0] == "build"
    assert stages[-1] == "sparse attention, k = 512"


def test_a_dump(worker, tmp_path):
    case = make_case("spread", 128, 2, 4, seed=1)
    path = tmp_path / "real.safetensors"
    save_file({n: getattr(case, n) for n in ("q", "kv", "index_q", "index_k", "index_weights")}, path)
    (point,) = worker.do(LossJob(DumpedInputs(path), (32,)), 100.0).points
    assert (point.structure, point.synthetic, point.context) == ("real.safetensors", False, 128)


def test_bad_jobs_are_one_line_and_leave_the_worker_alive(worker, tmp_path):
    starts = worker.starts
    for job, said in (
        (LossJob(SyntheticInputs("spread", 256, 2, 8, 0), (0,)), "k must be in"),
        (LossJob(SyntheticInputs("dense", 256, 2, 8, 0), KS), "unknown structure 'dense'"),
        (LossJob(DumpedInputs(tmp_path / "none"), KS), "cannot be read as safetensors"),
    ):
        with pytest.raises(JobFailed, match=said) as failed:
            worker.do(job, 100.0)
        assert "\n" not in failed.value.failure.reason
    assert worker.starts == starts
