"""The values: scores spread as stated, softmax neither uniform nor one-hot, and index rows as each distribution says."""

import numpy as np
import pytest
import torch

from dsabench.kernels import attention_inputs as module

KS = [1, 2, 37, 64]


def keys(count, width, distribution, generator):
    return module.make_keys(count, width, distribution, module.key_normals(count, width, generator))


def test_the_scale_is_the_models():
    assert pytest.approx(0.1352, abs=5e-5) == module.SM_SCALE


@pytest.mark.parametrize("d_qk", [576, 192])
def test_normal_scores_have_the_stated_spread_and_softmax_uses_many_keys(d_qk):
    generator = torch.Generator().manual_seed(0)
    q = module.make_queries((32, d_qk), "normal", generator).double()
    k = keys(2048, d_qk, "normal", generator).double()
    scores = q @ k.T * module.SM_SCALE
    assert float(scores.std()) == pytest.approx(module.SCORE_STD, rel=0.05)
    weights = scores.softmax(-1)
    effective = 1 / weights.square().sum(-1)
    assert float(effective.min()) > 20
    assert float(effective.max()) < 1000


def test_peaked_scores_have_one_dominant_key_and_overflow_exp():
    generator = torch.Generator().manual_seed(0)
    scores = module.make_queries((64, 576), "peaked", generator).double() @ (
        keys(2048, 576, "peaked", generator).double().T * module.SM_SCALE
    )
    assert float(scores.max()) > 100
    assert float(scores.softmax(-1).amax(-1).median()) > 0.99


def test_equal_scores_are_equal_and_their_values_differ():
    generator = torch.Generator().manual_seed(0)
    q = module.make_queries((4, 576), "equal_scores", generator)
    k = keys(50, 576, "equal_scores", generator)
    scores = q.double() @ k.double().T
    torch.testing.assert_close(scores, scores[:, :1].expand_as(scores), rtol=1e-12, atol=1e-12)
    assert float(scores.abs().min()) > 0
    assert len(torch.unique(k[:, :512], dim=0)) == 50


def test_rising_scores_rise_across_chunks():
    generator = torch.Generator().manual_seed(0)
    q = module.make_queries((1, 192), "rising", generator).double()
    normals = module.key_normals(300, 192, generator)
    k = torch.cat([module.make_keys(100, 192, "rising", normals, first, 300) for first in (0, 100, 200)])
    thirds = (q @ k.double().T * module.SM_SCALE)[0].view(3, 100).mean(1)
    assert thirds[0] + 4 < thirds[1] < thirds[2] - 4


def test_zeros():
    generator = torch.Generator().manual_seed(0)
    assert not module.make_queries((2, 576), "zeros", generator).any()
    assert not keys(2, 576, "zeros", generator).any()


def select(distribution: str, k: int, contexts=(5, 64, 200, 201, 202)) -> np.ndarray:
    return module.select_keys(np.array(contexts), k, distribution, np.random.default_rng(1))


@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("distribution", ["normal", *module.INDEX_DISTRIBUTIONS])
def test_indices_are_causal_and_unique(distribution, k):
    for row, context in zip(select(distribution, k), (5, 64, 200, 201, 202), strict=True):
        valid = row[row >= 0]
        assert bool((row >= -1).all())
        assert bool((valid < context).all())
        if distribution != "repeated_index":
            assert len(set(valid.tolist())) == len(valid)


@pytest.mark.parametrize("k", KS)
def test_each_index_distribution_is_what_its_name_says(k):
    count = {name: (select(name, k) >= 0).sum(1).tolist() for name in ("normal", *module.INDEX_DISTRIBUTIONS)}
    assert count["normal"] == [min(k, 5), *[min(k, c) for c in (64, 200, 201, 202)]]
    assert count["no_valid"] == [0] * 5
    assert count["one_valid"] == [1] * 5
    assert count["k_minus_one"] == [min(k - 1, 5), *[min(k - 1, c) for c in (64, 200, 201, 202)]]
    assert [c == 0 for c in count["all_padded_rows"]] == [False, True, False, False, True]
    assert select("valid_after_padding", k)[:, 0].tolist() == [-1] * 5
    assert max(len(set(row.tolist())) for row in select("repeated_index", k)) <= 7


def test_one_valid_stands_anywhere_and_repeats_repeat():
    positions = (select("one_valid", 64, [500] * 50) >= 0).argmax(1)
    assert len(set(positions.tolist())) > 20
    assert select("repeated_index", 64).min() >= 0


def test_normal_indices_are_not_sorted():
    row = select("normal", 64)[3]
    assert row.tolist() != sorted(row.tolist())


def test_spoiled_indices_are_all_outside():
    indices = np.zeros((40, 50), dtype=np.int32)
    module.spoil_indices(indices, 77, np.random.default_rng(0))
    outside = indices[indices != 0]
    assert 0.25 < len(outside) / indices.size < 0.42
    assert set(outside.tolist()) == {77, 78, 154, 2**31 - 1, -2, -(2**31)}


def test_causal_contexts():
    assert module.causal_contexts(2, 3, 10).tolist() == [8, 9, 10, 8, 9, 10]
    assert module.causal_contexts(1, 3, 1).tolist() == [1, 1, 1]


def test_sinks_and_lengths():
    generator = torch.Generator().manual_seed(0)
    assert module.make_sink("normal", 8, 5.0, generator) is None
    sink = module.make_sink("sink", 128, 5.0, generator)
    assert float(sink.mean()) == pytest.approx(5.0, abs=0.5)
    infinite = module.make_sink("sink_infinite", 8, 5.0, generator)
    assert [infinite[0].item(), infinite[1].item()] == [-np.inf, np.inf]
    assert np.isfinite(infinite[2].item())
    rng = np.random.default_rng(0)
    assert module.make_topk_length("normal", 5, 9, rng) is None
    lengths = module.make_topk_length("topk_length", 50, 9, rng)
    assert (lengths.min().item(), lengths.max().item(), lengths.dtype) == (0, 9, torch.int32)


def test_fill_normal_draws_in_pieces(monkeypatch):
    whole, pieces = torch.empty(5000), torch.empty(5000)
    module.fill_normal(whole, 0.1, torch.Generator().manual_seed(0))
    monkeypatch.setattr(module, "_CHUNK", 1000)
    module.fill_normal(pieces, 0.1, torch.Generator().manual_seed(0))
    for drawn in (whole, pieces):
        assert float(drawn.std()) == pytest.approx(0.1, rel=0.05)
        assert len(torch.unique(drawn)) > 4900


def test_few_numbers_are_drawn_one_by_one():
    """Their bits are what measurements on the CPU ran with."""
    drawn = torch.empty(1000).normal_(0.0, 0.1, generator=torch.Generator().manual_seed(3)).bfloat16()
    whole, pieces = torch.empty(1000, dtype=torch.bfloat16), torch.empty(1000, dtype=torch.bfloat16)
    module.fill_normal(whole, 0.1, torch.Generator().manual_seed(3))
    assert torch.equal(whole, drawn)
    module.Normals(module._DRAWN, 0.1, torch.Generator().manual_seed(3)).fill(pieces)
    assert torch.equal(pieces, drawn)


def test_very_many_numbers_repeat_and_no_two_rows_do(monkeypatch):
    monkeypatch.setattr(module, "_DRAWN", 2000)
    monkeypatch.setattr(module, "_PERIOD", 1009)
    whole = torch.empty((900, 6), dtype=torch.bfloat16)
    module.fill_normal(whole, 0.1, torch.Generator().manual_seed(0))
    flat = whole.view(-1)
    assert torch.equal(flat[1009:], flat[:-1009])
    assert float(flat.float().std()) == pytest.approx(0.1, rel=0.1)
    assert len(torch.unique(whole, dim=0)) == 900
    normals = module.Normals(5400, 0.1, torch.Generator().manual_seed(0))
    pieces = [torch.empty((rows, 6), dtype=torch.bfloat16) for rows in (1, 350, 49, 500)]
    for piece in pieces:
        normals.fill(piece)
    assert torch.equal(torch.cat(pieces), whole)


def test_the_period_is_a_prime():
    period = module._PERIOD
    assert all(period % divisor for divisor in range(2, int(period**0.5) + 1))
    assert period < 2**24 < module._DRAWN
