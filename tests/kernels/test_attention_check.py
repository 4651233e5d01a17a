"""The check of the four attention ops passes the right answer in the outputs' own dtypes and fails each planted fault."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from dsabench.kernels.attention_check import DECODE, PREFILL
from dsabench.kernels.registry import get_op
from dsabench.kernels.workload import Workload
from tests.kernels.running import one_torch_thread  # noqa: F401

AXES = {
    "sparse_mla_prefill": {"s_q": 5, "s_kv": 100, "h_q": 4, "topk": 60},
    "sparse_mla_decode": {"b": 2, "s_q": 3, "s_kv": 100, "h_q": 4, "topk": 60, "page": 53},
    "dense_mla_decode": {"b": 3, "s_q": 2, "s_kv": 60, "h_q": 4, "page": 7},
    "dense_mha_prefill": {"s_q": 5, "s_kv": 60, "h_q": 4, "causal": 0},
}
SPARSE = ("sparse_mla_prefill", "sparse_mla_decode")
WITH_EMPTY = {
    "sparse_mla_prefill": "all_padded_rows",
    "sparse_mla_decode": "all_padded_rows",
    "dense_mla_decode": "ragged",
}
ops = pytest.mark.parametrize("name", AXES)


def make(name: str, distribution: str = "normal"):
    """Inputs and the right outputs: the reference rounded to the outputs' dtypes."""
    inputs = Workload.of(name, AXES[name], distribution, seed=4).make_inputs()
    return inputs, right_answer(name, inputs)


def right_answer(name: str, inputs):
    op = get_op(name)
    out, lse = op.empty_outputs(inputs)
    exact_out, exact_lse = op.reference(inputs, torch.arange(op.row_count(inputs)))
    return out.copy_(exact_out.view(out.shape)), lse.copy_(exact_lse.view(lse.shape))


def judge(name: str, inputs, outputs, rows=None):
    op = get_op(name)
    rows = torch.arange(op.row_count(inputs)) if rows is None else rows
    verdict = op.check(inputs, outputs, rows, op.reference(inputs, rows))
    assert verdict.passed == (verdict.reason == "")
    assert (verdict.rows_checked, verdict.rows_total) == (len(rows), op.row_count(inputs))
    json.dumps(verdict.worst, allow_nan=False)
    assert set(verdict.worst) == {"out_max_abs", "lse_max_abs", "out_row_cosine_difference"}
    assert all(math.isfinite(value) for value in verdict.worst.values())
    return verdict


@ops
def test_the_right_answer_passes_under_every_distribution(name):
    for distribution in get_op(name).distributions:
        verdict = judge(name, *make(name, distribution))
        assert verdict.passed, (distribution, verdict.reason)


def test_the_tolerances_are_those_of_the_contract():
    assert (PREFILL.out_abs, PREFILL.out_rel) == (8e-4, 3.01 / 128)
    assert (DECODE.out_abs, DECODE.out_rel) == (1e-3, 2.01 / 128)
    for tolerance in (PREFILL, DECODE):
        assert (tolerance.cosine, tolerance.lse_abs, tolerance.lse_rel) == (1e-5, 1e-6, 8.01 / 65536)
    assert "0.0008" in PREFILL.rule
    assert "0.001" in DECODE.rule


@ops
def test_one_wrong_row_fails(name):
    inputs, (out, lse) = make(name)
    flat = out.flatten(0, -2)
    flat[7] = flat[7] * 1.01
    verdict = judge(name, inputs, (out, lse))
    assert "checked row 7" in verdict.reason
    assert "cosine" in verdict.reason


@ops
def test_one_wrong_element_fails(name):
    inputs, (out, lse) = make(name)
    out.flatten(0, -2)[3, 11] += 0.004
    assert "checked row 3, column 11" in judge(name, inputs, (out, lse)).reason


@ops
def test_swapped_heads_fail(name):
    inputs, (out, lse) = make(name)
    swapped = out.clone()
    swapped[..., 0, :], swapped[..., 1, :] = out[..., 1, :], out[..., 0, :]
    assert judge(name, inputs, (swapped, lse)).reason.startswith("out:")


@ops
def test_lse_in_base_2_fails(name):
    inputs, (out, lse) = make(name)
    assert judge(name, inputs, (out, lse / math.log(2))).reason.startswith("lse:")


@ops
def test_lse_off_by_a_bf16_rounding_fails(name):
    inputs, (out, lse) = make(name)
    assert judge(name, inputs, (out, lse.bfloat16().float())).reason.startswith("lse:")


@ops
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_poison_in_an_unchecked_row_fails(name, poison):
    sample = torch.tensor([0, 19])
    inputs, (out, lse) = make(name)
    out.flatten(0, -2)[10, 5] = poison
    assert judge(name, inputs, (out, lse), sample).reason.startswith("out: not finite: row 10 ")
    inputs, (out, lse) = make(name)
    lse.flatten()[9] = poison
    reason = judge(name, inputs, (out, lse), sample).reason
    assert reason.startswith("lse: not finite though the query sees a key: row 9 ")
    assert str(poison) in reason


@pytest.mark.parametrize("name", WITH_EMPTY)
def test_faults_in_empty_rows_fail_though_unchecked(name):
    sample = torch.tensor([0])
    inputs, (out, lse) = make(name, WITH_EMPTY[name])
    row = int(torch.isneginf(lse).flatten().nonzero()[-1])
    assert judge(name, inputs, (out, lse), sample).passed
    out.flatten(0, -2)[row, 500] = 1e-3
    assert f"out: not 0 though the query sees no key: row {row} " in judge(name, inputs, (out, lse), sample).reason
    inputs, (out, lse) = make(name, WITH_EMPTY[name])
    for wrong in (math.inf, 0.0, math.nan, -1e30):
        lse.flatten()[row] = wrong
        assert f"sees no key: row {row} " in judge(name, inputs, (out, lse), sample).reason


@ops
def test_a_dropped_key_fails(name):
    inputs, _ = make(name)
    if name in SPARSE:
        indices = inputs.indices.clone()
        indices[..., 17] = -1
        other = replace(inputs, indices=indices)
    elif name == "dense_mla_decode":
        other = replace(inputs, cache_seqlens=inputs.cache_seqlens - 1)
    else:
        other = replace(inputs, k=inputs.k[1:], v=inputs.v[1:])
    assert not judge(name, inputs, right_answer(name, other)).passed


@pytest.mark.parametrize("name", SPARSE)
def test_repeated_indices_counted_once_fail(name):
    inputs, _ = make(name, "repeated_index")
    indices = inputs.indices.clone()
    for row in indices.view(-1, indices.shape[-1]):
        seen = row.unique()
        row.fill_(-1)[: len(seen)] = seen
    assert not judge(name, inputs, right_answer(name, replace(inputs, indices=indices))).passed


@pytest.mark.parametrize("name", SPARSE)
def test_sink_faults_fail(name):
    inputs, (out, lse) = make(name, "sink")
    with_sink = torch.logaddexp(lse, inputs.attn_sink)
    assert judge(name, inputs, (out, with_sink)).reason.startswith("lse:")
    unscaled = right_answer(name, replace(inputs, attn_sink=None))
    assert judge(name, inputs, unscaled).reason.startswith("out:")


@pytest.mark.parametrize("name", SPARSE)
def test_ignoring_topk_length_fails(name):
    inputs, _ = make(name, "topk_length")
    table = "kv" if name == "sparse_mla_prefill" else "kv_cache"
    cache = getattr(inputs, table).clone()
    rows = cache.flatten(0, -2)
    unused = rows.isnan().any(-1) if name == "sparse_mla_prefill" else (rows == 0xFF).all(-1)
    rows[unused] = rows[~unused][0]  # so that the entries after the length score like any other
    filled = replace(inputs, **{table: cache})
    assert judge(name, filled, right_answer(name, inputs)).passed
    assert not judge(name, filled, right_answer(name, replace(filled, topk_length=None))).passed


@pytest.mark.parametrize("name", ["dense_mla_decode", "dense_mha_prefill"])
def test_causal_faults_fail(name):
    inputs, _ = make(name)
    causal = replace(inputs, causal=True)
    assert not judge(name, causal, right_answer(name, inputs)).passed
    assert not judge(name, inputs, right_answer(name, causal)).passed


@ops
def test_outputs_scaled_by_the_wrong_softmax_scale_fail(name):
    inputs, _ = make(name)
    wrong = replace(inputs, sm_scale=576**-0.5)
    assert not judge(name, inputs, right_answer(name, wrong)).passed
