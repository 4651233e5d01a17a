from __future__ import annotations

import pytest

from dsabench.autotune.predict.order import order_by_prediction
from dsabench.autotune.predict.ranking import rank


def test_order_puts_the_unknown_last_and_keeps_ties_as_they_came() -> None:
    assert order_by_prediction("abcdef", [3.0, None, 1.0, 3.0, None, 2.0]) == ["c", "f", "a", "d", "b", "e"]
    assert order_by_prediction([], []) == []
    with pytest.raises(ValueError, match="2 items, but 1"):
        order_by_prediction("ab", [1.0])


def test_rank_correlation_and_regret_by_hand() -> None:
    measured = [1.0, 1.2, 2.0, 4.0, 8.0]
    predicted = [3.0, 2.0, 1.0, 4.0, 5.0]  # d² sums to 4 + 0 + 4: 1 − 6 · 8 / (5 · 24)
    found = rank(predicted, measured)
    assert found.configs == 5
    assert found.correlation == pytest.approx(0.6)
    assert found.regret == {1: 1.0, 3: 0.0, 10: 0.0}


def test_a_perfect_and_a_reversed_order() -> None:
    times = [float(n) for n in range(1, 21)]
    assert rank(times, times).correlation == pytest.approx(1.0)
    backwards = rank(times[::-1], times)
    assert backwards.correlation == pytest.approx(-1.0)
    assert backwards.regret == {1: 19.0, 3: 17.0, 10: 10.0}


def test_equal_predictions_have_no_correlation() -> None:
    assert rank([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]).correlation is None
    with pytest.raises(ValueError, match="0 predictions of 0"):
        rank([], [])
