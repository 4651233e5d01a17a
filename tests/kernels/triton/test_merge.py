"""The merge of split-KV partials against float64, with splits and rows that saw no key."""

import math

import pytest
import torch

from dsabench.kernels.triton.merge import merge_launch

D_V = 256


def partials(splits, rows, seed, unseen=0.3):
    """Partials of which a share saw no key: lse -inf, and NaN where the merge must not look."""
    generator = torch.Generator().manual_seed(seed)
    out = torch.randn((splits, rows, D_V), generator=generator)
    lse = torch.randn((splits, rows), generator=generator) * 20
    empty = torch.rand((splits, rows), generator=generator) < unseen
    lse[empty] = -torch.inf
    out[empty] = torch.nan
    return out, lse


def expected(part, lse, sink=None):
    """out [rows, D_V], natural lse [rows], both float64."""
    natural = lse.double() * math.log(2.0)
    total = torch.logsumexp(natural, 0)
    some = ~torch.isneginf(total)
    weight = torch.exp(natural - torch.where(some, total, 0.0))
    out = (weight[:, :, None] * torch.nan_to_num(part).double()).sum(0)
    if sink is not None:
        row_sink = sink.double()[torch.arange(len(total)) % len(sink)]
        out = out * torch.where(some, torch.sigmoid(total - row_sink), 0.0)[:, None]
    return out, total


def merged(part, lse, sink=None):
    out = torch.full((part.shape[1], D_V), torch.nan, dtype=torch.bfloat16)
    natural = torch.full((part.shape[1],), torch.nan)
    merge_launch(part, lse, out, natural, sink).run()
    return out, natural


@pytest.mark.parametrize("splits", [1, 2, 7, 8, 9, 20])
def test_it_weighs_the_splits_by_their_lse(splits):
    part, lse = partials(splits, rows=5, seed=splits)
    out, natural = merged(part, lse)
    want_out, want_lse = expected(part, lse)
    torch.testing.assert_close(natural.double(), want_lse, atol=1e-5, rtol=1e-6)
    torch.testing.assert_close(out.double(), want_out, atol=1e-6, rtol=2.0**-8)


def test_a_row_without_any_key_is_0_with_lse_minus_infinity():
    part, lse = partials(9, rows=4, seed=1)
    lse[:, 2] = -torch.inf
    part[:, 2] = torch.nan
    for sink in (None, torch.tensor([0.0, -torch.inf, torch.inf])):
        out, natural = merged(part, lse, sink)
        assert torch.isneginf(natural[2])
        assert (out[2] == 0).all()


def test_a_sink_scales_the_output_and_leaves_lse():
    part, lse = partials(3, rows=8, seed=2, unseen=0.0)
    sink = torch.tensor([3.0, -torch.inf, torch.inf, -20.0])
    out, natural = merged(part, lse, sink)
    want_out, want_lse = expected(part, lse, sink)
    torch.testing.assert_close(natural.double(), want_lse, atol=1e-5, rtol=1e-6)
    torch.testing.assert_close(out.double(), want_out, atol=1e-6, rtol=2.0**-8)
    assert (out[2::4] == 0).all()


def test_a_large_lse_does_not_overflow():
    part, lse = partials(4, rows=3, seed=3, unseen=0.0)
    out, natural = merged(part, lse + 5000.0)
    want_out, want_lse = expected(part, lse + 5000.0)
    torch.testing.assert_close(natural.double(), want_lse, atol=0.0, rtol=1e-6)
    torch.testing.assert_close(out.double(), want_out, atol=1e-6, rtol=2.0**-8)


def test_repeats_are_bitwise_equal():
    part, lse = partials(11, rows=3, seed=4)
    first, second = merged(part, lse), merged(part, lse)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_shapes_that_do_not_fit_are_refused():
    part, lse = partials(2, rows=3, seed=5)
    out = torch.empty((3, D_V), dtype=torch.bfloat16)
    with pytest.raises(ValueError, match="do not fit"):
        merge_launch(part, lse, out, torch.empty(4))
    with pytest.raises(ValueError, match="multiple of 128"):
        merge_launch(part[:, :, :100], lse, out[:, :100], torch.empty(3))
