"""The exact selection against brute force, the FP8 one against the contract written out, the ranking's order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dsabench.bench.losses.selection import exact_scores, fp8_scores, fp8_selections, ranked
from dsabench.bench.losses.structures import make_case
from tests.bench.losses.cases import tiny_case

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def case():
    made = make_case("spread", 90, 3, 8, seed=7)
    return replace(made, visible=torch.tensor([90, 5, 41]))


def brute_scores(case, t: int) -> list[float]:
    q, k = case.index_q.double().numpy(), case.index_k.double().numpy()
    w = case.index_weights.double().numpy()
    return [
        sum(w[t, h] * max(float(np.dot(q[t, h], k[s])), 0.0) for h in range(64)) for s in range(int(case.visible[t]))
    ]


def test_the_exact_selection_is_what_a_brute_force_search_finds(case):
    order = ranked(case, exact_scores(case), 20)
    for t in range(3):
        scores = brute_scores(case, t)
        best = sorted(range(len(scores)), key=lambda s: (-scores[s], s))[:20]
        assert order[t].tolist() == best + [-1] * (20 - len(best))


def test_equal_scores_go_to_the_lower_position():
    equal = tiny_case([[0.0] * 5], [[1.0], [2.0], [1.0], [2.0], [0.0]])
    assert ranked(equal, exact_scores(equal), 5).tolist() == [[1, 3, 0, 2, 4]]
    assert ranked(equal, exact_scores(equal), 7).tolist() == [[1, 3, 0, 2, 4, -1, -1]]


def test_fp8_scores_are_close_to_exact_ones_and_hide_what_is_not_seen(case):
    exact, scores = exact_scores(case), fp8_scores(case, CPU)
    unseen = case.unseen()
    assert bool(torch.isneginf(scores[unseen]).all())
    gap = (scores.double() - exact)[~unseen]
    assert 1e-6 < float(gap.abs().max()) < 0.1 * float(exact[~unseen].std()) + 1e-9
    # Rounding to 3 bits is no bias of the whole.
    assert abs(float(gap.mean())) < 0.02 * float(exact[~unseen].mean())


def test_fp8_scores_are_exact_where_e4m3_is():
    case = tiny_case([[0.0] * 4], [[448.0], [18.0], [-3.0], [0.0]])
    case = replace(case, index_k=case.index_k + torch.nn.functional.pad(torch.full((4, 1), 448.0), (1, 126)))
    expected = torch.tensor([[448.0, 18.0, 0.0, 0.0]]) * (64 * 64**-0.5 * 128**-0.5)
    torch.testing.assert_close(fp8_scores(case, CPU), expected)
    torch.testing.assert_close(exact_scores(case), expected.double(), rtol=1e-6, atol=0)


def test_fp8_selections_are_the_highest_of_their_scores(case):
    scores = fp8_scores(case, CPU)
    selected = fp8_selections(case, scores, (3, 64))
    assert sorted(selected) == [3, 64]
    for k, rows in selected.items():
        assert rows.shape == (3, k)
        for t in range(3):
            row = scores[t, : int(case.visible[t])].tolist()
            best = sorted(range(len(row)), key=lambda s: (-row[s], s))[:k]
            assert sorted(i for i in rows[t].tolist() if i >= 0) == sorted(best)
