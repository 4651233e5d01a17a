"""The work that is expected of axes against what the cost of real, ordinary inputs says."""

from __future__ import annotations

import pytest
import torch

from dsabench.autotune.predict.expected import expected_cost
from dsabench.kernels.registry import get_op, op_names

AXES = {
    "indexer_logits": {"s_q": 32, "s_kv": 512, "h": 64},
    "paged_indexer_logits": {"b": 3, "next_n": 2, "s_kv": 700, "h": 32},
    "topk_select": {"rows": 5, "s_kv": 5000, "k": 64},
    "sparse_mla_prefill": {"s_q": 16, "s_kv": 1024, "h_q": 16, "topk": 128},
    "sparse_mla_decode": {"b": 3, "s_q": 2, "s_kv": 1024, "h_q": 16, "topk": 256},
    "dense_mla_decode": {"b": 3, "s_q": 2, "s_kv": 700, "h_q": 16, "causal": 1},
    "dense_mha_prefill": {"s_q": 64, "s_kv": 256, "h_q": 4},
    "quantize_kv_cache": {"s_kv": 300, "page": 16},
    "quantize_index_cache": {"s_kv": 300},
    "dequantize_kv_cache": {"s_kv": 300, "page": 16},
}


@pytest.mark.parametrize("op", op_names())
def test_as_the_cost_of_ordinary_inputs(op: str) -> None:
    contract = get_op(op)
    axes = contract.complete_axes(AXES[op])
    real = contract.cost(contract.make_inputs(axes, "normal", 0, torch.device("cpu")))
    expected = expected_cost(op, AXES[op])
    assert expected is not None
    assert (expected.flops, expected.product_dtype) == (real.flops, real.product_dtype)
    assert expected.gather_bytes == real.gather_bytes
    # Random indices: how many rows are different varies from draw to draw.
    assert expected.compulsory_bytes == pytest.approx(real.compulsory_bytes, rel=0.02 if "sparse" in op else 1e-12)


@pytest.mark.parametrize("op", ["sparse_mla_prefill", "sparse_mla_decode"])
def test_a_context_shorter_than_topk_selects_all_of_it(op: str) -> None:
    axes = {**AXES[op], "s_kv": 100, "topk": 2048}
    contract = get_op(op)
    real = contract.cost(contract.make_inputs(contract.complete_axes(axes), "normal", 0, torch.device("cpu")))
    assert expected_cost(op, axes) == real
