"""Refitting on synthetic times: the model's own, with constants that are known."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from dsabench.autotune.predict.constants import BOUNDS, NAMES, SHIPPED, Constants
from dsabench.autotune.predict.model import predict
from dsabench.autotune.predict.refit import Sample, TooFewError, refit
from dsabench.autotune.predict.work import launch_works
from dsabench.kernels.op import Cost
from tests.autotune.predict.made import MACHINE, PRODUCT_FLOPS, inspection, launch, span

TRUE = replace(SHIPPED, tensor_efficiency=0.6, issue_efficiency=0.8, overlap=0.7, load_latency_s=1.5e-6, launch_s=6e-6)


def samples(constants: Constants, groups: tuple[str, ...] = ("a",), noise: float = 0.0) -> list[Sample]:
    rng = random.Random(3)
    made = []
    for size, group in enumerate(groups, start=1):
        shapes = itertools.product((100, 800, 2500), (1, 4), (1, 3), (100, 350, 3000))
        for instructions, products, stages, blocks in shapes:
            loop = span(instructions, products=products, shared=4000, BAR=2, LDGSTS=2)
            found = inspection(launch(loop, grid=(blocks,), stages=stages))
            work = Cost(PRODUCT_FLOPS * products * blocks * 6 * size, 10**6, 10**6, "bf16")
            works = launch_works(found, work)
            assert works is not None
            seconds = predict(works, work, MACHINE, constants).seconds * rng.lognormvariate(0, noise)
            made.append(Sample(group, works, work, seconds))
    return made


def test_recovers_known_constants() -> None:
    found = refit(samples(TRUE), MACHINE)
    assert found.samples == 36
    for name in ("tensor_efficiency", "issue_efficiency", "load_latency_s", "launch_s"):
        assert getattr(found.constants, name) == pytest.approx(getattr(TRUE, name), rel=0.05), name
    assert found.before > 1.2
    assert found.after < 1.02
    assert found.constants.search_passes == pytest.approx(SHIPPED.search_passes)  # nothing here tells of it
    assert found.left_out == {}


def test_stays_within_bounds() -> None:
    slow = [replace(sample, seconds=sample.seconds * 1000) for sample in samples(TRUE)]
    constants = refit(slow, MACHINE).constants
    for name in NAMES:
        low, high = BOUNDS[name]
        assert low <= getattr(constants, name) <= high
        assert low <= getattr(SHIPPED, name) <= high


def test_each_workload_is_also_ranked_by_constants_that_never_saw_it() -> None:
    found = refit(samples(TRUE, ("a", "b", "c"), noise=0.02), MACHINE)
    assert set(found.left_out) == {"a", "b", "c"}
    assert min(value for value in found.left_out.values() if value is not None) > 0.95
    scrambled = samples(TRUE, ("a", "b"))
    times = [sample.seconds for sample in scrambled if sample.group == "b"]
    random.Random(1).shuffle(times)
    spoiled = [s if s.group == "a" else replace(s, seconds=times.pop()) for s in scrambled]
    left_out = refit(spoiled, MACHINE).left_out["b"]
    assert left_out is not None
    assert left_out < 0.6


def test_too_few_configs() -> None:
    with pytest.raises(TooFewError, match="7 configs are too few"):
        refit(samples(TRUE)[:7], MACHINE)
