"""Pipeline points as curves."""

from __future__ import annotations

import pytest

from dsabench.bench.scaling.points import (
    by_context,
    crossover_of,
    growths_of,
    over_eager,
    prompt_growths,
    token_seconds,
    whole_prompts,
)
from tests.bench.scaling.pipeline_points import decode_points, decode_stages, point


def test_the_crossover_of_points_is_where_their_curves_meet():
    found = crossover_of(decode_points(), seed=0)
    assert found is not None
    assert found.kind == "crosses"
    (crossing,) = found.crossings
    assert crossing.length == pytest.approx(8127, rel=0.05)
    assert crossing.low < crossing.length < crossing.high


def test_points_without_both_sides_take_no_part():
    one_sided = [point(4096, None, decode_stages(4096)), point(8192, 1e-3, None)]
    assert crossover_of(one_sided, 0) is None
    found = crossover_of([*one_sided, point(16384, 5e-3, decode_stages(16384))], 0)
    assert found is not None
    assert list(found.winners) == [16384]


def test_each_curve_grows_as_it_was_made_to():
    growths = {each.curve: each for each in growths_of(decode_points(), 0)}
    assert list(growths) == ["dense", "sparse", "indexer", "topk", "attention"]
    for name, exponent in (("dense", 1.0), ("indexer", 1.0), ("topk", 1.0), ("attention", 0.0)):
        overall = growths[name].overall
        assert overall is not None
        assert overall.value == pytest.approx(exponent, abs=0.01)
        assert growths[name].expected == exponent
    assert growths["sparse"].expected is None
    assert growths["sparse"].overall is not None
    assert 0.0 < growths["sparse"].overall.value < 0.5


def test_a_prompt_grows_with_one_more():
    points = [
        point(p.context, 3e-7 * p.context, decode_stages(p.context), phase="prefill", queries=64)
        for p in decode_points()
    ]
    growths = {each.curve: each for each in prompt_growths(points, 0)}
    for name, exponent in (("dense", 2.0), ("indexer", 2.0), ("attention", 1.0)):
        overall = growths[name].overall
        assert overall is not None
        assert overall.value == pytest.approx(exponent, abs=0.02)
        assert growths[name].expected == exponent
    assert growths["sparse"].expected is None


def test_a_token_takes_its_share_of_a_call():
    (only,) = [point(4096, 64e-3, {"attention": 32e-3}, phase="prefill", queries=64)]
    seconds = token_seconds([only])
    assert seconds["dense"][4096] == pytest.approx(1e-3, rel=0.02)
    assert seconds["sparse"][4096] == pytest.approx(0.5e-3, rel=0.02)
    assert whole_prompts([only])["dense"][4096].seconds == pytest.approx(4.096, rel=0.02)


def test_the_latest_point_of_a_context_counts_and_order_does_not_matter():
    old, new, long = point(4096, 1.0, None), point(4096, 2.0, None), point(8192, 3.0, None)
    assert by_context([long, old, new]) == [new, long]


def test_a_wrong_side_is_a_gap_and_has_no_time():
    (found,) = by_context([point(4096, 1e-3, decode_stages(4096), eager_s=4e-3, wrong=("dense",))])
    assert found.dense is None
    assert found.sparse is not None
    assert found.speedup is None
    assert found.gaps == {"dense": "its output is wrong: row 3 is off"}
    assert over_eager(found, 0) is None
    assert "dense" not in token_seconds([point(4096, 1e-3, None, wrong=("dense",))])


def test_eager_torch_against_our_dense():
    ratio = over_eager(point(4096, 1e-3, None, eager_s=4e-3), 0)
    assert ratio is not None
    assert ratio.ratio == pytest.approx(4.0, rel=0.03)
    assert ratio.low <= ratio.ratio <= ratio.high


def test_eager_that_sat_rounds_out_is_held_against_the_rounds_it_was_in():
    whole = point(4096, 1e-3, None, eager_s=4e-3)
    assert whole.eager is not None
    assert whole.dense is not None
    few = whole.eager.time.model_copy(update={"rounds_s": whole.eager.time.rounds_s[:3]})
    later_slow = whole.dense.time.model_copy(update={"rounds_s": whole.dense.time.rounds_s[:3] + [1.0] * 6})
    short = whole.model_copy(
        update={
            "eager": whole.eager.model_copy(update={"time": few}),
            "dense": whole.dense.model_copy(update={"time": later_slow}),
        }
    )
    ratio = over_eager(short, 0)
    assert ratio is not None
    assert ratio.ratio == pytest.approx(4.0, rel=0.05)
