"""Where two synthetic curves cross, against what they were made from."""

from __future__ import annotations

import numpy as np
import pytest

from dsabench.bench.scaling.crossover import Race, crossover
from dsabench.bench.scaling.lengths import format_length, format_range

LENGTHS = (4096, 8192, 16384, 32768)


def races(dense, sparse, spread: float = 0.0, rounds: int = 15, seed: int = 0, lengths=LENGTHS) -> list[Race]:
    """`dense` and `sparse` give seconds by length; every round of a side is off by a factor of its own."""
    random = np.random.default_rng(seed)

    def drawn(seconds: float) -> list[float]:
        return list(seconds * np.exp(spread * random.standard_normal(rounds)))

    return [Race(length, drawn(dense(length)), drawn(sparse(length))) for length in lengths]


def power(at: float, exponent: float, seconds: float = 1e-3):
    """Seconds ∝ L^exponent, `seconds` at length `at`."""
    return lambda length: seconds * (length / at) ** exponent


def test_power_laws_cross_where_they_were_made_to():
    found = crossover(races(power(9300, 1.0), power(9300, 0.25)), seed=1)
    assert found.kind == "crosses"
    (crossing,) = found.crossings
    assert crossing.length == pytest.approx(9300, rel=1e-9)
    assert crossing.low == pytest.approx(crossing.high)
    assert crossing.to == "sparse"
    assert found.words("decode") == "sparse decode wins from 9.1K (9.1K)"
    assert found.winners == {4096: "dense", 8192: "dense", 16384: "sparse", 32768: "sparse"}


def test_a_slowdown_that_both_sides_of_a_round_share_moves_nothing():
    disturbed = []
    for race in races(power(9300, 1.0), power(9300, 0.0)):
        slow = np.where(np.arange(15) % 3 == 0, 4.0, 1.0)
        disturbed.append(Race(race.length, list(race.dense_s * slow), list(race.sparse_s * slow)))
    (crossing,) = crossover(disturbed, seed=1).crossings
    assert crossing.length == pytest.approx(9300, rel=1e-9)


def test_the_interval_holds_the_true_length_about_as_often_as_it_says():
    held, widths = 0, []
    for seed in range(150):
        found = crossover(races(power(9300, 1.0), power(9300, 0.0), spread=0.05, seed=seed), seed)
        (crossing,) = found.crossings
        assert crossing.low <= crossing.length <= crossing.high
        held += crossing.low <= 9300 <= crossing.high
        widths.append(crossing.high / crossing.low - 1.0)
    assert 0.89 <= held / 150 <= 1.0
    assert 0.02 < np.median(widths) < 0.15  # neither empty nor from end to end


def test_more_rounds_narrow_the_interval():
    def width(rounds: int) -> float:
        each = races(power(9300, 1.0), power(9300, 0.0), 0.05, rounds)
        (crossing,) = crossover(each, 0).crossings
        return crossing.high / crossing.low

    assert width(200) < width(10)


def test_the_same_seed_gives_the_same_interval():
    each = races(power(9300, 1.0), power(9300, 0.0), spread=0.05)
    assert crossover(each, 7) == crossover(each, 7)
    assert crossover(each, 7) != crossover(each, 8)


def test_nothing_is_said_of_lengths_that_were_not_measured():
    always = crossover(races(power(1000, 1.0), power(1000, 0.0)), 0)
    assert (always.kind, always.crossings) == ("sparse_always", ())
    assert always.words("decode") == "sparse decode wins already at the shortest length measured (4K)"
    never = crossover(races(power(1e6, 1.0), power(1e6, 0.0)), 0)
    assert (never.kind, never.crossings) == ("dense_always", ())
    assert never.words("prefill") == "dense prefill still wins at the longest length measured (32K)"


def test_crossing_more_than_once_is_said():
    ratio = dict(zip(LENGTHS, (0.5, 2.0, 0.5, 2.0), strict=True))
    found = crossover(races(lambda length: ratio[length], lambda length: 1.0), 0)
    assert found.kind == "many"
    assert [each.to for each in found.crossings] == ["sparse", "dense", "sparse"]
    # halfway between two lengths in logarithms: the ratios lie as far above 1 as below
    assert found.crossings[0].length == pytest.approx(4096 * 2**0.5)
    assert "cross more than once: sparse from 5.7K" in found.words("decode")


def test_dense_that_wins_again_beyond_is_reversed():
    found = crossover(races(power(9300, 0.0), power(9300, 1.0)), 0)
    assert found.kind == "reversed"
    assert found.crossings[0].length == pytest.approx(9300)
    assert found.words("decode").endswith("only up to 9.1K (9.1K), dense beyond")


def test_a_length_where_neither_wins_decides_nothing():
    ratio = dict(zip(LENGTHS, (0.5, 0.99, 1.01, 2.0), strict=True))
    each = races(lambda length: ratio[length], lambda length: 1.0)
    noisy = [Race(r.length, r.dense_s, r.sparse_s, noise=0.02) for r in each]
    found = crossover(noisy, 0)
    assert found.kind == "crosses"
    assert 8192 < found.crossings[0].length < 16384
    assert list(found.winners.values()) == ["dense", "tie", "tie", "sparse"]


def test_noise_widens_the_interval_as_far_as_it_reaches():
    each = races(power(9300, 1.0), power(9300, 0.0))
    (crossing,) = crossover([Race(r.length, r.dense_s, r.sparse_s, noise=0.05) for r in each], 0).crossings
    assert crossing.low == pytest.approx(9300 * 0.96, rel=0.02)  # 0.04: two noisy lengths, weighted by their nearness
    assert crossing.high == pytest.approx(9300 * 1.04, rel=0.02)


def test_a_tie_inside_the_interval_is_not_told_twice():
    ratio = dict(zip(LENGTHS, (0.5, 1.005, 2.0, 4.0), strict=True))
    each = races(lambda length: ratio[length], lambda length: 1.0)
    found = crossover([Race(r.length, r.dense_s, r.sparse_s, noise=0.02) for r in each], 0)
    assert found.winners[8192] == "tie"
    assert "neither" not in found.words("decode")


def test_ties_in_the_noise_are_no_crossings():
    wobble = dict(zip(LENGTHS, (2.0, 0.995, 1.005, 2.0), strict=True))
    each = races(lambda length: wobble[length], lambda length: 1.0)
    found = crossover([Race(r.length, r.dense_s, r.sparse_s, noise=0.01) for r in each], 0)
    assert (found.kind, found.crossings) == ("sparse_always", ())


def test_a_tie_everywhere_is_called_that():
    found = crossover(races(power(1, 0.0), power(1, 0.0), spread=0.05), 0)
    assert found.kind == "tie"
    assert "neither" in found.words("decode")
    assert "4K to 32K" in found.words("decode")


def test_a_tie_at_the_shortest_is_not_called_a_win_there():
    ratio = dict(zip(LENGTHS, (1.0, 2.0, 3.0, 4.0), strict=True))
    found = crossover(races(lambda length: ratio[length], lambda length: 1.0), 0)
    assert found.kind == "sparse_always"
    assert found.words("decode") == "of the lengths measured, sparse decode wins from 8K on; neither wins at 4K"


def test_a_tie_at_the_longest_is_not_called_a_win_there():
    ratio = dict(zip(LENGTHS, (0.25, 0.5, 0.75, 1.0), strict=True))
    found = crossover(races(lambda length: ratio[length], lambda length: 1.0), 0)
    assert found.kind == "dense_always"
    assert found.words("prefill") == "of the lengths measured, dense prefill wins up to 16K; neither wins at 32K"


def test_one_length_is_enough_to_say_who_wins_there():
    found = crossover(races(power(1000, 1.0), power(1000, 0.0), lengths=(4096,)), 0)
    assert found.kind == "sparse_always"


@pytest.mark.parametrize("lengths", [(8192, 4096), (4096, 4096), ()])
def test_lengths_must_ascend(lengths):
    with pytest.raises(ValueError, match="ascending"):
        crossover(races(power(1, 1.0), power(1, 0.0), lengths=lengths), 0)


@pytest.mark.parametrize(
    ("length", "text"),
    [(9318, "9.1K"), (8192, "8K"), (131072, "128K"), (512, "512"), (10239, "10K"), (1 << 20, "1M"), (1024, "1K")],
)
def test_lengths_in_words(length, text):
    assert format_length(length) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [(8602, 10100, "8.4–9.9K"), (900, 1100, "900–1.1K"), (8192, 8200, "8K"), (1000000, 1100000, "977K–1M")],
)
def test_ranges_name_a_shared_unit_once(low, high, text):
    assert format_range(low, high) == text
