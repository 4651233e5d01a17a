"""Recall, mass and error: by hand, monotone in k, nothing lost when all keys are selected."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from dsabench.bench.losses import losses
from dsabench.bench.losses.losses import KernelError, check_ks, mass, measure_losses, recall, relative_error
from dsabench.bench.losses.structures import STRUCTURES, make_case
from tests.bench.losses.cases import FAR, tiny_case

CPU = torch.device("cpu")
CONTEXT = 640
KS = (16, 64, 256, 700, 1024)


@pytest.fixture(scope="module", params=STRUCTURES)
def points(request):
    return measure_losses(make_case(request.param, CONTEXT, 3, 8, seed=4), KS, CPU)


class TestByHand:
    """Head 0 attends to keys 0 and 1 alike, head 1 to key 0: weights (1/2, 1/2) and (1, 0), mean (3/4, 1/4)."""

    def case(self):
        return tiny_case([[0, 0, FAR, FAR], [0, FAR, FAR, FAR]], [[4.0], [2.0], [1.0], [-1.0]])

    def test_one_key(self):
        (point,) = measure_losses(self.case(), (1,), CPU)
        assert (point.k, point.queries, point.h_q, point.context) == (1, 1, 2, 4)
        assert point.recall.median == 1.0
        assert point.mass.median == pytest.approx(0.75, abs=1e-7)
        assert point.mass_exact == point.mass_best == point.mass
        # Dense (½, ½) and (1, 0), sparse twice (1, 0): ‖x − y‖² = ½, ‖y‖² = 3/2, ‖x‖² = 2.
        assert point.error.median == pytest.approx(math.sqrt(1 / 3), rel=1e-6)
        assert point.row_cosine.median == pytest.approx(1 / 7, rel=1e-6)

    def test_two_keys_are_all_that_count(self):
        (point,) = measure_losses(self.case(), (2,), CPU)
        assert point.mass.median == pytest.approx(1.0, abs=1e-7)
        assert point.error.median < 1e-6

    def test_what_no_query_sees_counts_nowhere(self):
        (point,) = measure_losses(replace(self.case(), visible=torch.tensor([1])), (2,), CPU)
        assert (point.recall.median, point.mass.median) == (1.0, 1.0)
        assert point.error.median < 1e-6

    def test_an_indexer_that_prefers_the_wrong_key_keeps_less_than_the_best(self):
        wrong = tiny_case([[0, 0, FAR, FAR], [0, FAR, FAR, FAR]], [[2.0], [4.0], [1.0], [-1.0]])
        (point,) = measure_losses(wrong, (1,), CPU)
        assert point.recall.median == 1.0
        assert point.mass.median == pytest.approx(0.25, abs=1e-7)
        assert point.mass_exact.median == pytest.approx(0.25, abs=1e-7)
        assert point.mass_best.median == pytest.approx(0.75, abs=1e-7)

    def test_keys_that_fp8_cannot_tell_apart(self):
        # Both keys' scale is 1, and e4m3 has 16 and 18 but nothing between: they tie, and the lower position wins.
        case = tiny_case([[FAR, 0, FAR]], [[16.1, 448.0], [16.9, 448.0], [1.0, 448.0]])
        (point,) = measure_losses(case, (1,), CPU)
        assert point.recall.median == 0.0
        assert point.mass_exact.median == pytest.approx(1.0, abs=1e-7)
        assert point.mass.median == pytest.approx(0.0, abs=1e-7)

    def test_spreads_are_over_queries(self):
        case = tiny_case([[0, 0, FAR], [0, FAR, FAR]], [[4.0], [2.0], [1.0]], n_q=3)
        (point,) = measure_losses(replace(case, visible=torch.tensor([1, 2, 3])), (1,), CPU)
        assert point.mass.low == pytest.approx(0.75, abs=1e-7)
        assert point.mass.median == pytest.approx(0.75, abs=1e-7)
        assert point.mass.high == pytest.approx(1.0, abs=1e-7)
        assert point.error.low < 1e-6 < point.error.median


def test_parts():
    chosen = torch.tensor([[3, 1, -1], [0, 2, 4]])
    assert recall(chosen, torch.tensor([[1, 2, -1], [4, 0, 2]]), 5).tolist() == [0.5, 1.0]
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.0], [0.5, 0.1, 0.1, 0.1, 0.2]], dtype=torch.float64)
    assert mass(weights, chosen).tolist() == pytest.approx([0.6, 0.8])
    two = torch.tensor([[[3.0], [4.0]], [[0.0], [0.0]]], dtype=torch.float64)
    assert relative_error(two * 1.5, two).tolist() == [0.5, 0.0]


def test_more_keys_lose_less(points):
    assert [p.k for p in points] == list(KS)
    for fewer, more in itertools.pairwise(points):
        for name in ("mass", "mass_exact", "mass_best"):
            assert getattr(fewer, name).low <= getattr(more, name).low + 1e-12
        assert more.error.median < fewer.error.median + 1e-9


def test_no_selection_keeps_more_than_the_best(points):
    for point in points:
        for end in ("low", "median", "high"):
            best = getattr(point.mass_best, end)
            assert getattr(point.mass, end) <= best + 1e-12
            assert getattr(point.mass_exact, end) <= best + 1e-12
        assert 0 < point.recall.low <= point.recall.high <= 1


def test_all_keys_lose_nothing_but_rounding(points):
    for point in points:
        if point.k >= CONTEXT:
            assert point.recall.low == 1.0
            for spread in (point.mass, point.mass_exact, point.mass_best):
                assert (spread.low, spread.high) == pytest.approx((1.0, 1.0), abs=1e-7)
            assert 1e-4 < point.error.low <= point.error.high < 4e-3
            assert point.row_cosine.high < 1e-5
        else:
            assert point.error.low > 4e-3


def test_a_wrong_sparse_kernel_is_no_measurement(monkeypatch):
    right = losses.call

    def wrong(op, *arguments):
        outputs = right(op, *arguments)
        if op == "sparse_mla_prefill":
            outputs[0][0, 1] *= 1.1
        return outputs

    monkeypatch.setattr(losses, "call", wrong)
    with pytest.raises(KernelError, match=r"sparse_mla_prefill differs from float64 .* at k = 16"):
        measure_losses(make_case("spread", 64, 2, 2, seed=0), (16,), CPU)


@pytest.mark.parametrize(
    ("ks", "said"), [((), "none"), ((0,), "got 0"), ((64, 4097), "got 4097"), ((64, 128, 64), "must differ")]
)
def test_bad_ks_are_refused(ks, said):
    with pytest.raises(ValueError, match=said):
        check_ks(ks)
