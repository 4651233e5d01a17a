"""What is said of a run, against curves whose answers are known."""

from __future__ import annotations

import pytest

from dsabench.bench.records import Ratio
from dsabench.bench.scaling.bill import Price, bills, cache_bytes
from dsabench.bench.scaling.cost import usd_per_million
from dsabench.bench.scaling.words import dollars, faster, gap_lines, summary, times
from tests.bench.scaling.pipeline_points import decode_points, decode_stages, loss, point

PRICE = Price()


def line(points, start: str, losses=(), price: Price = PRICE) -> str:
    (found,) = [each for each in summary(points, losses, price, 0) if each.startswith(start)]
    return found


def test_a_million_tokens_cost_their_seconds_in_all_layers():
    # 61 layers x 10 µs = 0.61 ms a token, 610 s a million; an hour of 3600 s costs $36
    assert usd_per_million(10e-6, 36.0) == pytest.approx(6.10)
    assert usd_per_million(10e-6, 36.0, other_layer_s=10e-6) == pytest.approx(12.20)


def test_bills_of_decode_hold_positions_only():
    found = bills(decode_points(), Price(usd_per_hour=2.0))
    assert found["dense"][131072].usd == pytest.approx(3e-7 * 131072 * 61 * 2 / 3600 * 1e6, rel=0.02)
    assert found["dense"][131072].prompt_usd is None


def test_bills_of_prefill_hold_the_mean_over_the_prompt():
    points = [point(c, 64e-9 * c, None, phase="prefill", queries=64) for c in (4096, 8192, 16384)]
    bill = bills(points, PRICE)["dense"][16384]
    assert bill.prompt_usd == pytest.approx(bill.usd / 2, rel=0.02)  # linear in the position: half of its end
    assert bill.assumed == pytest.approx(1 / 16, rel=0.1)


def test_other_time_is_added_to_both_sides_and_said():
    plain, other = bills(decode_points(), PRICE), bills(decode_points(), Price(other_ms=0.5))
    for side in ("dense", "sparse"):
        assert other[side][4096].usd - plain[side][4096].usd == pytest.approx(usd_per_million(0.5e-3, 2.0))
    assert "attention only" in line(decode_points(), "a million tokens")
    assert "plus 0.5 ms of all else" in line(decode_points(), "a million tokens", price=Price(other_ms=0.5))


def test_memory_is_of_the_caches():
    cache = cache_bytes(decode_points())
    assert (cache.dense, cache.sparse) == (1152, 788)
    assert cache.total(1024) == {"dense": 1152 * 1024 * 61, "sparse": 788 * 1024 * 61}
    assert "788 bytes a token and layer against 1152 (31.6% less)" in line(decode_points(), "sparse keeps")
    assert cache_bytes([point(4096, 1e-3, None)]).saving is None


def test_the_first_line_answers_the_question():
    words = line(decode_points(), "sparse decode wins from 7.9K (")
    assert "; at 128K sparse is 8.7× (" in words
    assert words.endswith("×) faster")


def test_dense_is_held_against_eager_torch():
    assert "dense decode is 3.0× (" in line(decode_points(), "our dense")


def test_growth_names_each_curve_with_what_was_expected():
    words = line(decode_points(), "per token")
    assert "dense with L^1.00 (" in words
    assert "expected 1), the whole of sparse" in words
    assert "sparse attention with L^0.00 (" in words
    assert "between the last two lengths: dense" in words


def test_prefill_has_a_line_per_prompt():
    points = [point(c, 3e-7 * c, decode_stages(c), phase="prefill", queries=64) for c in (4096, 8192, 16384, 32768)]
    assert "dense with L^2.00" in line(points, "per prompt")
    assert "$0.19 against $0.66" in line(points, "published for prefill")
    assert "on average over a prompt of that length" in line(points, "a million tokens")


def test_a_prompt_that_is_all_assumed_has_no_mean_in_words():
    points = [
        point(4096, 1e-3, decode_stages(4096), phase="prefill", queries=64),
        point(8192, None, decode_stages(8192), phase="prefill", queries=64),
    ]
    assert "at position 4K" in line(points, "a million tokens")
    assert "on average" not in line(points, "a million tokens")


def test_published_figures_are_said_not_to_compare():
    assert "$0.25 against $2.20" in line(decode_points(), "published for decode")
    assert "not to be compared" in line(decode_points(), "published for decode")


def test_two_lengths_have_no_exponent():
    assert not [each for each in summary(decode_points((4096, 8192)), [], PRICE, 0) if each.startswith("per token")]


def test_losses_are_told_at_the_models_k_and_real_inputs_apart():
    losses = [
        loss("spread", 1024, 0.10), loss("spread", 2048, 0.25), loss("near_ties", 2048, 0.5),
        loss("dump", 2048, 0.97, synthetic=False),
    ]  # fmt: skip
    made = line(
        decode_points(), "FP8 selection of 2048 of 32K keys keeps of dense attention's weight, synthetic", losses
    )
    assert "spread 25.0% (recall 97.0%, output error 0.75)" in made
    assert "near ties 50.0%" in made
    assert "10.0%" not in made
    assert "dump" not in made
    real = line(decode_points(), "FP8 selection of 2048 of 32K keys keeps of dense attention's weight, real", losses)
    assert "dump 97.0%" in real


def test_losses_are_told_at_the_pipelines_own_k():
    points = [p.model_copy(update={"axes": p.axes | {"topk": 512}}) for p in decode_points((4096,))]
    assert line(points, "FP8 selection of 512 ", [loss("spread", k, 0.1) for k in (512, 2048)])


def test_losses_without_the_models_k_are_told_at_the_largest():
    assert line([], "FP8 selection of 512 ", [loss("spread", 256, 0.1), loss("spread", 512, 0.2)])


def test_gaps_are_said_with_their_reasons():
    reason = "dense needs 40 GiB, 16 are free"
    points = [*decode_points(), point(262144, None, decode_stages(262144), gaps={"dense": reason, "eager": reason})]
    assert gap_lines(points) == [f"gap at 256K: no dense, eager: {reason}"]
    assert summary(points, [], PRICE, 0)[-1] == f"gap at 256K: no dense, eager: {reason}"
    assert "; at 128K sparse is" in line(points, "sparse decode wins"), "the longest that has both"


def test_a_slower_sparse_is_called_slower():
    ratio = Ratio(ratio=0.5, low=0.4, high=0.625)
    assert faster(ratio) == "2.0× (1.6–2.5×) slower"
    assert faster(Ratio(ratio=17.2, low=16.4, high=18.0)) == "17× (16–18×) faster"


def test_a_speed_up_whose_interval_holds_1_is_neither():
    assert faster(Ratio(ratio=1.02, low=0.9, high=1.1)) == "neither faster nor slower (1.02×, 0.90–1.10×)"


def test_nothing_measured_says_nothing_but_its_gaps():
    only = point(4096, None, None, gaps={"sparse": "crashed", "dense": "crashed", "eager": "crashed"})
    assert summary([only], [], PRICE, 0) == ["gap at 4K: no sparse, dense, eager: crashed"]


@pytest.mark.parametrize(("value", "text"), [(0.5, "0.50×"), (1.04, "1.0×"), (9.96, "10×"), (17.2, "17×")])
def test_ratios_in_words(value, text):
    assert times(value) == text


@pytest.mark.parametrize(("usd", "text"), [(3389.4, "$3,389"), (2.2, "$2.20"), (0.0123, "$0.012"), (0.25, "$0.25")])
def test_dollars_in_words(usd, text):
    assert dollars(usd) == text
