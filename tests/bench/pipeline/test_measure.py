"""A point as the worker measures it, with sides that fail in each way."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from dsabench.bench.jobs import PipelineJob, Stage
from dsabench.bench.pipeline import sides as sides_module
from dsabench.bench.pipeline.measure import run_pipeline
from dsabench.bench.records import PipelinePoint
from dsabench.kernels.dispatch import choose

DECODE = PipelineJob(
    phase="decode", context=200, batch=3, queries=2, heads=16, topk=32, seed=5, rounds=6, least_rounds=6, round_s=1e-4,
    time_s=20.0, index_heads=8,
)  # fmt: skip
PREFILL = dataclasses.replace(DECODE, phase="prefill", context=150, batch=1, queries=40, heads=8)


class DeviceError(RuntimeError):
    pass


@pytest.fixture
def measure(runtime):
    def run(job: PipelineJob, lost: bool = False) -> PipelinePoint:
        outcome = run_pipeline(job, runtime, lambda stage: None)
        assert outcome.lost is lost
        return PipelinePoint.model_validate_json(outcome.point.model_dump_json())

    return run


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch):
    """Makes an implementation do something else, from its nth call on."""

    def replace(op: str, impl: str, instead, first: int = 0) -> None:
        calls = [0]

        def chosen(name, axes, device, wanted, config):
            implementation, full = choose(name, axes, device, wanted, config)
            if (name, implementation.name) != (op, impl):
                return implementation, full

            def run(inputs, outputs, config) -> None:
                calls[0] += 1
                (instead if calls[0] > first else implementation.run)(inputs, outputs, config)

            return dataclasses.replace(implementation, run=run), full

        monkeypatch.setattr(sides_module, "choose", chosen)

    return replace


def raising(inputs, outputs, config) -> None:
    raise RuntimeError("the launch failed\nsecond line")


def writing_nothing(inputs, outputs, config) -> None:
    pass


def assert_rests(point: PipelinePoint, *names: str) -> None:
    for name in names:
        side = getattr(point, name)
        assert side is not None, point.gaps
        assert side.check.passed
        assert len(side.time.rounds_s) >= 3


def test_decode(measure) -> None:
    point = measure(DECODE)
    assert point.gaps == {}
    assert (point.phase, point.context, point.queries) == ("decode", 200, 6)
    assert point.axes == {"b": 3, "s_q": 2, "h_q": 16, "index_heads": 8, "topk": 32, "page": 64}
    assert_rests(point, "sparse", "dense", "eager")
    assert [stage.name for stage in point.sparse.stages] == ["indexer", "topk", "slots", "attention"]
    assert [stage.name for stage in point.dense.stages] == ["attention"]
    assert point.eager.stages[0].impl == "torch"
    assert point.dense.stages[0].impl != "torch"
    assert len(point.sparse.time.rounds_s) == len(point.dense.time.rounds_s) == 6
    for side in (point.sparse, point.dense, point.eager):
        assert side.time.low_s <= side.time.median_s <= side.time.high_s
        assert side.check.rows_checked == side.check.rows_total == 6 * 16
        assert side.chunks == 1
    assert {"logits_row_cosine_difference", "higher_scores_left", "lse_max_abs"} <= point.sparse.check.worst.keys()
    assert point.speedup.low <= point.speedup.ratio <= point.speedup.high
    assert math.isclose(point.speedup.ratio, point.dense.time.median_s / point.sparse.time.median_s)
    assert point.noise >= 0
    assert (point.sparse.kv_bytes_per_token, point.dense.kv_bytes_per_token) == (788, 1152)


def test_prefill(measure) -> None:
    point = measure(PREFILL)
    assert point.gaps == {}
    assert point.queries == 40
    assert "page" not in point.axes
    assert_rests(point, "sparse", "dense", "eager")
    assert [stage.name for stage in point.sparse.stages] == ["indexer", "topk", "attention"]


def test_every_stage_of_a_run_is_told(runtime) -> None:
    told: list[Stage] = []
    run_pipeline(DECODE, runtime, told.append)
    assert {stage.text for stage in told} == {"build", "reference", "sparse", "dense", "eager"}
    assert told[0].text == "build"


def test_a_side_that_does_not_fit_is_a_gap_before_anything_is_built(measure, runtime, monkeypatch) -> None:
    from dsabench.bench.pipeline import measure as module
    from dsabench.bench.pipeline.memory import needed_bytes
    from dsabench.bench.pipeline.shape import Shape

    job = dataclasses.replace(PREFILL, context=2000)
    needs = needed_bytes(Shape("prefill", 2000, 1, 40, 8, 8, 32))
    assert needs["dense"] > needs["sparse"]
    runtime.free = int((needs["sparse"] + needs["dense"] / 2) / 0.8)
    built = []
    monkeypatch.setattr(module, "build_inputs", lambda *a, real=module.build_inputs: built.append(a[1]) or real(*a))
    point = measure(job)
    assert built == [["sparse"]]
    assert_rests(point, "sparse")
    assert point.dense is None
    assert point.speedup is None
    assert "does not fit in memory: inputs and buffers take" in point.gaps["dense"]
    assert point.gaps["eager"] == "there is no dense side for it to stand beside"
    runtime.free = 1000
    assert measure(job).gaps.keys() == {"sparse", "dense", "eager"}


def test_a_side_whose_inputs_do_not_fit_after_all_is_left_out(measure, monkeypatch) -> None:
    from dsabench.bench.pipeline import measure as module

    real = module.build_inputs

    def build(shape, sides, seed, device):
        if "dense" in sides:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 10 GiB.")
        return real(shape, sides, seed, device)

    monkeypatch.setattr(module, "build_inputs", build)
    point = measure(DECODE)
    assert_rests(point, "sparse")
    assert point.gaps["dense"].startswith("OUT_OF_MEMORY: ")
    assert point.dense is None


@pytest.mark.parametrize(
    ("op", "side", "others"),
    [
        ("paged_indexer_logits", "sparse", ("dense", "eager")),
        ("topk_select", "sparse", ("dense", "eager")),
        ("sparse_mla_decode", "sparse", ("dense", "eager")),
        ("dense_mla_decode", "dense", ("sparse",)),
    ],
)
def test_a_side_that_raises_is_a_gap_and_the_other_goes_on(measure, breaks, op, side, others) -> None:
    breaks(op, "cpu", raising)
    point = measure(DECODE)
    assert getattr(point, side) is None
    assert point.gaps[side] == "LAUNCH_ERROR: RuntimeError: the launch failed"
    assert point.speedup is None
    assert_rests(point, *others)


@pytest.mark.parametrize("op", ["paged_indexer_logits", "topk_select", "sparse_mla_decode"])
def test_a_stage_that_writes_nothing_is_named(measure, breaks, op) -> None:
    breaks(op, "cpu", writing_nothing)
    stage = {"paged_indexer_logits": "indexer", "topk_select": "topk", "sparse_mla_decode": "attention"}[op]
    assert measure(DECODE).gaps["sparse"].startswith(f"INCORRECT: {stage}: nothing was written to output ")


def test_wrong_slots_are_found(measure, monkeypatch) -> None:
    from dsabench.bench.pipeline import sparse as module

    def mapper(positions, table, slots):
        return "wrong", lambda: slots.copy_(positions)

    monkeypatch.setattr(module, "slot_mapper", mapper)
    point = measure(DECODE)
    assert point.gaps["sparse"].startswith("INCORRECT: slots: position ")
    assert_rests(point, "dense")


def test_wrong_numbers_of_dense_are_found(measure, breaks) -> None:
    breaks("dense_mla_decode", "cpu", lambda inputs, outputs, config: [t.fill_(0.25) for t in outputs])
    point = measure(DECODE)
    assert point.gaps["dense"].startswith("INCORRECT: attention: ")
    assert_rests(point, "sparse")


@pytest.mark.parametrize(("op", "side"), [("topk_select", "sparse"), ("dense_mla_decode", "dense")])
def test_what_is_right_at_first_and_wrong_after_it_was_timed_is_no_measurement(measure, breaks, op, side) -> None:
    breaks(op, "cpu", writing_nothing, first=2)
    point = measure(DECODE)
    assert getattr(point, side) is None
    assert "right at first, wrong after it was timed" in point.gaps[side]
    assert point.speedup is None


def test_a_kernel_that_writes_into_its_inputs_is_found(measure, breaks) -> None:
    def spoiling(inputs, outputs, config) -> None:
        choose("dense_mla_decode", {}, torch.device("cpu"), "torch", {})[0].run(
            inputs, outputs, {"BLOCK_KV": 512, "PV": "f32"}
        )
        inputs.kv_cache[0, 0, 0, 0] += 1.0

    breaks("dense_mla_decode", "cpu", spoiling)
    point = measure(DECODE)
    assert "wrote into its input 'kv_cache'" in point.gaps["dense"]
    assert_rests(point, "sparse")


def test_a_side_that_fails_while_it_is_timed_leaves_the_other_its_rounds(measure, breaks) -> None:
    breaks("dense_mla_decode", "cpu", raising, first=12)
    point = measure(DECODE)
    assert point.gaps["dense"] == "LAUNCH_ERROR: RuntimeError: the launch failed"
    assert len(point.sparse.time.rounds_s) == 6


def test_a_lost_device_ends_the_point_and_says_so(measure, breaks, runtime, monkeypatch) -> None:
    from dsabench.bench.faults import Fault
    from dsabench.bench.records import Status

    monkeypatch.setattr(
        runtime, "classify", lambda error: Fault(Status.LAUNCH_ERROR, "illegal address", lost=True), raising=False
    )
    breaks("dense_mla_decode", "cpu", raising)
    point = measure(DECODE, lost=True)
    assert point.gaps["dense"] == "LAUNCH_ERROR: illegal address"
    assert point.gaps["sparse"] == "the device was lost: dense: illegal address"
    assert (point.sparse, point.dense, point.eager) == (None, None, None)


def test_sides_left_out_from_the_start_keep_their_reason(measure) -> None:
    point = measure(dataclasses.replace(DECODE, without={"eager": "it crashed the worker"}))
    assert point.gaps == {"eager": "it crashed the worker"}
    assert_rests(point, "sparse", "dense")
    point = measure(dataclasses.replace(DECODE, without={"sparse": "not wanted"}))
    assert point.gaps == {"sparse": "not wanted"}
    assert_rests(point, "dense", "eager")


def test_eager_is_left_out_where_dense_itself_takes_too_long(measure) -> None:
    point = measure(dataclasses.replace(DECODE, time_s=1e-6))
    assert point.gaps["eager"].startswith("left out: three calls of dense take ")
    assert_rests(point, "sparse", "dense")
    assert len(point.sparse.time.rounds_s) == 3


def test_sizes_that_make_no_sense_raise(runtime) -> None:
    with pytest.raises(ValueError, match="queries = 2 do not fit a context of 1"):
        run_pipeline(dataclasses.replace(DECODE, context=1), runtime, lambda stage: None)
