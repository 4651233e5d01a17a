from __future__ import annotations

import numpy as np
import pytest
import torch

from dsabench.kernels.fp8 import quantize_e4m3
from dsabench.kernels.indexer_logits import reference as module
from dsabench.kernels.indexer_logits.contract import DISTRIBUTIONS, OP, Inputs
from dsabench.kernels.indexer_logits.reference import reference, score_tile
from dsabench.kernels.workload import Workload
from tests.kernels import naive_index


def naive(inputs: Inputs) -> np.ndarray:
    bytes_of = (t.view(torch.uint8).numpy() for t in (inputs.q, inputs.k))
    return naive_index.indexer_logits(
        *bytes_of, *(t.numpy() for t in (inputs.k_scale, inputs.weights, inputs.ks, inputs.ke))
    )


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_equals_the_formula_element_by_element(distribution):
    inputs = Workload.of("indexer_logits", {"s_q": 4, "s_kv": 9, "h": 8}, distribution, seed=5).make_inputs()
    expected = naive(inputs)
    (actual,) = reference(inputs, torch.arange(4))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("h", [8, 16, 32, 64])
def test_rows_are_those_asked_for(h):
    inputs = Workload.of("indexer_logits", {"s_q": 5, "s_kv": 6, "h": h}, "ragged_windows", seed=1).make_inputs()
    rows = torch.tensor([4, 1])
    np.testing.assert_allclose(reference(inputs, rows)[0].numpy(), naive(inputs)[[4, 1]], rtol=1e-12)


def test_tiles_change_nothing(monkeypatch):
    inputs = Workload.of("indexer_logits", {"s_q": 6, "s_kv": 500, "h": 8}, "ragged_windows").make_inputs()
    whole = reference(inputs, torch.arange(6))[0]
    monkeypatch.setattr(module, "TILE_KEYS", 64)
    monkeypatch.setattr(module, "_TILE_SCORES", 64 * 8 * 2)
    torch.testing.assert_close(reference(inputs, torch.arange(6))[0], whole, rtol=1e-14, atol=0)


def test_nan_columns_and_no_others():
    inputs = Workload.of("indexer_logits", {"s_q": 3, "s_kv": 40, "h": 8}, "nan_key").make_inputs()
    logits = reference(inputs, torch.arange(3))[0]
    columns = logits.isnan().any(0).nonzero().flatten().tolist()
    assert columns == [0, 20]
    assert logits[:, columns].isnan().all()


def test_a_tile_of_any_size_is_the_same_product():
    generator = torch.Generator().manual_seed(0)
    q, k, scale, w = (
        torch.randn(s, generator=generator, dtype=torch.float64) for s in [(3, 8, 128), (7, 128), (7,), (3, 8)]
    )
    expected = torch.einsum("thn,th->tn", torch.einsum("thd,nd->thn", q, k).relu(), w) * scale
    torch.testing.assert_close(score_tile(q, k, scale, w), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ue8m0", [False, True])
def test_quantization_moves_a_row_by_less_than_a_thousandth(ue8m0):
    generator = torch.Generator().manual_seed(2)
    s_q, s_kv, h = 4, 1000, 64
    q, k = torch.randn(s_q, h, 128, generator=generator), torch.randn(s_kv, 128, generator=generator)
    weights = torch.randn(s_q, h, generator=generator).abs()
    q8, q_scale = quantize_e4m3(q, 128, ue8m0)
    k8, k_scale = quantize_e4m3(k, 128, ue8m0)
    window = torch.zeros(s_q, dtype=torch.int32), torch.full((s_q,), s_kv, dtype=torch.int32)
    inputs = Inputs(q8, k8, k_scale.squeeze(-1), weights * q_scale.squeeze(-1), *window)
    quantized = reference(inputs, torch.arange(s_q))[0]
    exact = score_tile(q.double(), k.double(), torch.ones(s_kv, dtype=torch.float64), weights.double())
    difference = (quantized - exact).square().sum(-1) / (quantized.square().sum(-1) + exact.square().sum(-1))
    assert (difference < 1e-3).all()
    assert (difference > 1e-8).all()  # it is the unquantized one


def test_row_flops_are_those_of_the_products():
    inputs = Workload.of("indexer_logits", {"s_q": 2, "s_kv": 1000, "h": 32}).make_inputs()
    assert OP.row_flops(inputs) == 2 * 32 * 128 * 1000
