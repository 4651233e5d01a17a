"""Dense attention of a case against float64 throughout."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dsabench.bench.losses import dense
from dsabench.bench.losses.dense import dense_attention
from dsabench.bench.losses.losses import relative_error
from dsabench.bench.losses.structures import STRUCTURES, make_case


def naive(case):
    n_q, h_q, _ = case.q.shape
    out = torch.zeros((n_q, h_q, 512), dtype=torch.float64)
    weights = torch.zeros((n_q, case.context), dtype=torch.float64)
    for t in range(n_q):
        kv = case.kv[: int(case.visible[t])].double()
        for h in range(h_q):
            shares = torch.softmax(case.sm_scale * (kv @ case.q[t, h].double()), 0)
            out[t, h] = shares @ kv[:, :512]
            weights[t, : len(kv)] += shares / h_q
    return out, weights


@pytest.mark.parametrize("structure", STRUCTURES)
def test_it_agrees_with_float64(structure):
    case = replace(make_case(structure, 2500, 3, 6, seed=2), visible=torch.tensor([1, 1024, 2500]))
    out, weights = naive(case)
    actual = dense_attention(case)
    assert float(relative_error(actual.out, out).max()) < 2e-6
    torch.testing.assert_close(actual.weights, weights, rtol=1e-5, atol=0)
    assert bool((actual.weights[case.unseen()] == 0).all())


def test_scores_far_from_zero_neither_overflow_nor_lose_the_weights():
    case = make_case("spread", 300, 2, 4, seed=2)
    case = replace(case, q=case.q * 64)
    out, weights = naive(case)
    actual = dense_attention(case)
    # Scores reach 400 here, and their rounding grows with them.
    assert float(relative_error(actual.out, out).max()) < 1e-4
    torch.testing.assert_close(actual.weights, weights, rtol=1e-3, atol=1e-12)


def test_queries_one_by_one_give_the_same(monkeypatch):
    case = make_case("needles", 1500, 3, 4, seed=1)
    together = dense_attention(case)
    monkeypatch.setattr(dense, "_SCORE_BYTES", 1)
    apart = dense_attention(case)
    torch.testing.assert_close(apart.weights, together.weights, rtol=1e-5, atol=0)
    torch.testing.assert_close(apart.out, together.out, rtol=1e-5, atol=1e-8)
