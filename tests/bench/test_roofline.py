from __future__ import annotations

import pytest

from dsabench.bench.ceilings import best_ceilings, measure_ceilings
from dsabench.bench.records import Ceilings, Rate, Timing
from dsabench.bench.roofline import impossible, roofline
from dsabench.kernels.op import Cost


def ceilings(copy=20e9, read=30e9, **product) -> Ceilings:
    def rate(value):
        return Rate(value=value, median=value, n=1, method="given")

    return Ceilings(
        bandwidth={"copy": rate(copy), "read": rate(read)},
        product={name: rate(value) for name, value in (product or {"f32": 200e9, "bf16": 400e9}).items()},
    )


def timing(low: float, median: float, high: float) -> Timing:
    return Timing(
        median_s=median, low_s=low, high_s=high, confidence=0.95, min_s=low, p10_s=low, p90_s=high, n=6,
        calls_per_sample=1, warmup_calls=1, input_copies=1, clock="wall", stopped_by="time", samples_s=[median] * 6,
    )  # fmt: skip


def test_a_compute_bound_op_is_limited_by_its_fastest_product():
    found = roofline(Cost(800_000_000_000, 30_000_000, 30_000_000, "fp8"), ceilings())
    assert found.limit == "compute"
    assert found.product == "bf16"
    assert found.bound_s == pytest.approx(2.0)
    assert found.intensity == pytest.approx(800e9 / 30e6)


def test_a_cpu_whose_bf16_products_are_slow_is_bounded_by_f32():
    found = roofline(Cost(10**12, 1, 1, "bf16"), ceilings(f32=200e9, bf16=50e9))
    assert found.product == "f32"
    assert found.bound_s == pytest.approx(5.0)


def test_fp8_products_count_where_they_are_measured_and_only_for_ops_that_may_use_them():
    with_fp8 = ceilings(f32=1e12, bf16=2e12, fp8=4e12)
    assert roofline(Cost(4 * 10**12, 1, 1, "fp8"), with_fp8).bound_s == pytest.approx(1.0)
    assert roofline(Cost(4 * 10**12, 1, 1, "bf16"), with_fp8).bound_s == pytest.approx(2.0)


def test_an_op_without_products_is_limited_by_the_faster_bandwidth():
    found = roofline(Cost(0, 60_000_000_000, 60_000_000_000, None), ceilings())
    assert (found.limit, found.product, found.bandwidth) == ("memory", None, "read")
    assert found.bound_s == pytest.approx(2.0)
    assert found.intensity == 0.0


def test_only_a_whole_interval_below_the_bound_and_its_margin_is_impossible():
    bound = roofline(Cost(400_000_000_000, 1, 1, "bf16"), ceilings())  # 1 s
    assert impossible(timing(0.5, 0.9, 1.1), bound) == ""
    assert impossible(timing(0.9, 0.95, 0.96), bound) == "", "within the ceilings' own noise of 5 %"
    reason = impossible(timing(0.5, 0.6, 0.9), bound)
    assert "bf16 product rate" in reason
    assert "1 s" in reason


def test_measured_ceilings_are_those_of_a_working_machine():
    found = measure_ceilings(0.05, 1 << 20)
    assert set(found.bandwidth) == {"copy", "read"}
    assert set(found.product) == {"f32", "bf16"}
    for rate in (*found.bandwidth.values(), *found.product.values()):
        assert rate.value >= rate.median > 1e6
        assert rate.n >= 4
        assert rate.method


def test_the_best_of_two_measurements_is_taken_one_by_one():
    best = best_ceilings(ceilings(copy=1e9, read=9e9, bf16=5e9), ceilings(copy=2e9, read=3e9, bf16=4e9))
    assert {name: rate.value for name, rate in best.bandwidth.items()} == {"copy": 2e9, "read": 9e9}
    assert best.product["bf16"].value == 5e9
