"""Each structure has the property that it states, measured on the dense attention and on the exact indexer."""

from __future__ import annotations

import pytest
import torch

from dsabench.bench.losses.case import LossCase
from dsabench.bench.losses.dense import dense_attention
from dsabench.bench.losses.selection import exact_scores, fp8_scores, ranked
from dsabench.bench.losses.structures import STRUCTURES, make_case

CONTEXT, N_Q, H_Q = 4096, 3, 16


@pytest.fixture(scope="module")
def cases() -> dict[str, LossCase]:
    return {name: make_case(name, CONTEXT, N_Q, H_Q, seed=11) for name in STRUCTURES}


@pytest.fixture(scope="module")
def weights(cases) -> dict[str, torch.Tensor]:
    return {name: dense_attention(case).weights for name, case in cases.items()}


def keys_for(weights: torch.Tensor, share: float) -> torch.Tensor:
    """int64 [n_q]: the least number of keys that carry `share` of the weight."""
    return (weights.sort(1, descending=True).values.cumsum(1) < share).sum(1) + 1


def perplexity(weights: torch.Tensor) -> torch.Tensor:
    return torch.exp(-torch.special.xlogy(weights, weights).sum(1))


def near_the_cut(case: LossCase, k: int, width: float) -> float:
    """Share of the seen keys whose exact index score differs from the k-th by at most `width` of it."""
    scores, seen = exact_scores(case), ~case.unseen()
    cut = scores.gather(1, ranked(case, scores, k)[:, -1:])
    return float((((scores - cut).abs() <= width * cut.abs()) & seen).sum() / seen.sum())


class TestSpread:
    def test_it_takes_a_large_part_of_all_keys(self, weights):
        assert float(keys_for(weights["spread"], 0.9).min()) > CONTEXT / 2
        assert float(perplexity(weights["spread"]).min()) > CONTEXT / 2

    def test_no_key_stands_out(self, weights):
        assert float(weights["spread"].max()) < 0.03


class TestConcentrated:
    def test_256_keys_carry_nearly_all(self, weights):
        top = weights["concentrated"].sort(1, descending=True).values[:, :256].sum(1)
        assert float(top.min()) > 0.95
        assert float(top.max()) < 0.99

    def test_it_takes_hundreds_of_them(self, weights):
        assert 100 < float(perplexity(weights["concentrated"]).min())
        assert float(perplexity(weights["concentrated"]).max()) < 400

    def test_they_stand_anywhere(self, weights):
        where = weights["concentrated"].topk(256).indices.float()
        assert 0.4 * CONTEXT < float(where.mean()) < 0.6 * CONTEXT


class TestNeedles:
    def test_16_keys_of_the_oldest_quarter_carry_most_of_the_weight(self, weights):
        top = weights["needles"].topk(16)
        assert bool((top.indices < CONTEXT // 4).all())
        assert float(top.values.sum(1).min()) > 0.45
        assert float(top.values.sum(1).max()) < 0.75

    def test_what_is_left_is_noise(self, weights):
        rest = weights["needles"].sort(1, descending=True).values[:, 16:]
        assert float(keys_for(rest / rest.sum(1, keepdim=True), 0.9).min()) > CONTEXT / 2

    def test_they_lie_as_far_back_at_other_contexts(self):
        case = make_case("needles", 1000, 2, 8, seed=3)
        assert int(dense_attention(case).weights.topk(8).indices.max()) < 250


class TestNearTies:
    @pytest.mark.parametrize("k", [256, 1024, 2048])
    def test_most_keys_are_within_one_e4m3_step_of_the_cut(self, cases, k):
        assert near_the_cut(cases["near_ties"], k, 2**-4) > 0.7

    @pytest.mark.parametrize("other", [name for name in STRUCTURES if name != "near_ties"])
    def test_elsewhere_few_are(self, cases, other):
        assert near_the_cut(cases[other], 1024, 2**-4) < 0.15

    def test_many_differ_by_less_than_fp8_errs(self, cases):
        case = cases["near_ties"]
        scores, seen = exact_scores(case), ~case.unseen()
        error = float((fp8_scores(case, torch.device("cpu")).double() - scores)[seen].std())
        cut = float(scores[0].topk(1024).values[-1])
        assert near_the_cut(case, 1024, error / cut) > 0.15

    def test_weights_tie_too(self, weights):
        tied = weights["near_ties"].sort(1, descending=True).values[:, : 3 * CONTEXT // 4 - N_Q]
        assert float(tied.sum(1).min()) > 0.99
        assert float((tied[:, 0] / tied[:, -1]).max()) < 3


@pytest.mark.parametrize("structure", STRUCTURES)
class TestEvery:
    def test_the_indexer_knows_the_attention_imperfectly(self, cases, weights, structure):
        case, mean = cases[structure], weights[structure]
        seen = int(case.visible[0])
        pair = torch.stack([exact_scores(case)[0, :seen], mean[0, :seen].log()])
        assert 0.5 < float(torch.corrcoef(pair)[0, 1]) < 0.999

    def test_same_arguments_same_values_and_another_seed_others(self, structure):
        one, two, three = (make_case(structure, 256, 2, 4, seed) for seed in (5, 5, 6))
        for name in ("q", "kv", "index_q", "index_k", "index_weights", "visible"):
            assert torch.equal(getattr(one, name), getattr(two, name))
        assert not torch.equal(one.kv, three.kv)
        assert (one.seed, three.seed) == (5, 6)

    @pytest.mark.parametrize("h_q", [1, 8, 128])
    def test_shapes_and_types(self, structure, h_q):
        case = make_case(structure, 64, 3, h_q, seed=1)
        assert (case.structure, case.synthetic, case.context) == (structure, True, 64)
        assert (case.q.dtype, tuple(case.q.shape)) == (torch.bfloat16, (3, h_q, 576))
        assert (case.kv.dtype, tuple(case.kv.shape)) == (torch.bfloat16, (64, 576))
        assert tuple(case.index_q.shape) == (3, 64, 128)
        assert tuple(case.index_k.shape) == (64, 128)
        assert bool((case.index_weights > 0).all())
        assert case.visible.tolist() == [62, 63, 64]
        assert all(bool(torch.isfinite(t).all()) for t in (case.q, case.kv, case.index_q, case.index_k))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("spred", 256, 1, 8), "unknown structure 'spred'; known: spread, concentrated, needles, near_ties"),
        (("spread", 63, 1, 8), "context must be at least 64 .* got 63"),
        (("spread", 64, 17, 8), "context must be at least 68 for 17 queries"),
        (("spread", 256, 0, 8), "n_q must be at least 1, got 0"),
        (("spread", 256, 1, 129), r"h_q must be in \[1, 128\], got 129"),
    ],
)
def test_bad_arguments_are_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        make_case(*arguments, seed=0)
