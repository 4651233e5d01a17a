"""The check must pass what is right and fail each planted fault, also on rows that the reference did not compute."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch

from dsabench.kernels.indexer_logits import check as module
from dsabench.kernels.indexer_logits.contract import DISTRIBUTIONS, OP
from dsabench.kernels.workload import Workload
from tests.kernels.running import poisoned_outputs

SAMPLE = torch.tensor([0, 3, 19])


def case(distribution: str = "normal", **axes: int):
    """Inputs and the right answer in float32."""
    inputs = Workload.of("indexer_logits", {"s_q": 20, "s_kv": 300, "h": 8, **axes}, distribution, seed=9).make_inputs()
    return inputs, OP.reference(inputs, torch.arange(inputs.q.shape[0]))[0].float()


def judge(inputs, logits: torch.Tensor, rows: torch.Tensor = SAMPLE):
    verdict = OP.check(inputs, (logits,), rows, OP.reference(inputs, rows))
    assert verdict.passed == (verdict.reason == "")
    assert verdict.rows_checked == len(rows)
    assert verdict.rows_total == len(logits)
    json.dumps(verdict.worst, allow_nan=False)
    assert all(type(value) is float and math.isfinite(value) for value in verdict.worst.values())
    return verdict


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_right_answer_passes(distribution):
    verdict = judge(*case(distribution))
    assert verdict.passed, verdict.reason
    assert "2e-05" in verdict.rule


def test_rounding_within_the_tolerance_passes_and_beyond_it_fails():
    inputs, logits = case(causal=0)
    span = logits[3].amax().clamp_min(0) - logits[3].amin().clamp_max(0)
    logits[3, 7] += 1.5e-5 * span
    assert judge(inputs, logits).passed
    logits[3, 7] += 1.0e-5 * span
    verdict = judge(inputs, logits)
    assert "row 3, column 7" in verdict.reason
    assert verdict.worst["logits_error_of_span"] == pytest.approx(2.5e-5, rel=0.05)


def test_bf16_products_are_too_coarse():
    inputs, logits = case(causal=0)
    assert not judge(inputs, logits.bfloat16().float()).passed


def test_many_small_errors_fail_by_the_cosine(monkeypatch):
    monkeypatch.setattr(module, "SPAN_LIMIT", {"cpu": 1.0})
    inputs, logits = case(causal=0)
    noise = torch.randn(300, generator=torch.Generator().manual_seed(0)) * logits[3].std() * 0.02
    logits[3] += noise
    assert "row 3 has cosine difference" in judge(inputs, logits).reason


@pytest.mark.parametrize("row", [3, 19])
def test_one_wrong_row_fails(row):
    inputs, logits = case(causal=0)
    logits[row] = logits[row - 1]
    assert f"row {row}" in judge(inputs, logits).reason


def test_swapped_rows_fail():
    inputs, logits = case(causal=0)
    logits[[3, 4]] = logits[[4, 3]]
    assert not judge(inputs, logits).passed


def test_a_missed_k_scale_fails():
    inputs, logits = case(causal=0)
    assert not judge(inputs, logits / inputs.k_scale).passed


@pytest.mark.parametrize("row", [3, 8])  # in the sample, and not
@pytest.mark.parametrize("value", [0.0, torch.nan, torch.inf, 3e38])
def test_a_mask_that_leaves_something_fails_on_every_row(row, value):
    inputs, logits = case("ragged_windows")
    column = int(inputs.ke[row]) if int(inputs.ke[row]) < 300 else int(inputs.ks[row]) - 1
    logits[row, column] = value
    reason = judge(inputs, logits).reason
    assert f"row {row}, column {column}" in reason
    assert "-inf" in reason


@pytest.mark.parametrize("row", [3, 8])
@pytest.mark.parametrize("edge", ["first", "last"])
def test_a_mask_one_too_wide_fails_on_every_row(row, edge):
    inputs, logits = case("ragged_windows")
    column = int(inputs.ks[row]) if edge == "first" else int(inputs.ke[row]) - 1
    logits[row, column] = -torch.inf
    assert f"row {row}, column {column}: got -inf, expected a score" in judge(inputs, logits).reason


@pytest.mark.parametrize("distribution", ["normal", "nan_key", "ragged_windows"])
@pytest.mark.parametrize("poison", [torch.nan, -torch.nan, torch.inf, "0x7f bytes"])
def test_poison_left_on_any_row_fails(distribution, poison):
    inputs, logits = case(distribution)
    (unwritten,) = poisoned_outputs(OP, inputs)
    assert not judge(inputs, unwritten).passed
    value = float(unwritten[0, 0]) if poison == "0x7f bytes" else poison
    for row in range(20):  # the sample holds three of them
        wrong = logits.clone()
        wrong[row, int(inputs.ke[row]) - 1] = value
        assert f"row {row}," in judge(inputs, wrong).reason


def test_nan_where_the_inputs_hold_none_fails_beside_nan_where_they_do():
    inputs, logits = case("nan_key", causal=0)
    nan_columns = logits[0].isnan().nonzero().flatten().tolist()
    assert len(nan_columns) == 2
    assert judge(inputs, logits).passed
    wrong = logits.clone()
    wrong[8, nan_columns[1] + 1] = torch.nan
    assert f"row 8, column {nan_columns[1] + 1}: got nan, expected a score" in judge(inputs, wrong).reason
    wrong = logits.clone()
    wrong[3, nan_columns[1]] = 1.0
    assert "NaN mask differs" in judge(inputs, wrong).reason


@pytest.mark.parametrize("tile", [module._TILE, 3 * 300])
@pytest.mark.parametrize("where", ["q", "weights", "k_scale"])
def test_nan_of_any_argument_is_accepted_where_it_belongs(where, tile, monkeypatch):
    monkeypatch.setattr(module, "_TILE", tile)
    inputs, _ = case(causal=0)
    changed = {"q": inputs.q.clone(), "weights": inputs.weights.clone(), "k_scale": inputs.k_scale.clone()}
    if where == "q":
        changed["q"].view(torch.uint8)[8, 2, 5] = 0xFF
    elif where == "weights":
        changed["weights"][8, 1] = torch.nan
    else:
        changed["k_scale"][17] = torch.nan
    inputs = replace(inputs, **changed)
    logits = OP.reference(inputs, torch.arange(20))[0].float()
    assert logits.isnan().any()
    assert judge(inputs, logits).passed
    if where != "k_scale":
        logits[9, 4] = torch.nan
        assert "row 9, column 4: got nan" in judge(inputs, logits).reason


def test_a_row_of_zeros_must_be_zeros():
    inputs, logits = case("zeros", causal=0)
    assert judge(inputs, logits).passed
    logits[3, 5] = 1e-30
    assert "row 3, column 5" in judge(inputs, logits).reason


def test_one_key_with_cancelling_weights_is_held_to_its_terms():
    inputs, _ = case(causal=0, s_kv=1)
    q, w = inputs.q.clone(), inputs.weights.clone()
    q.view(torch.uint8)[:, 1] = q.view(torch.uint8)[:, 0]
    w[:] = 0.0
    w[:, 0], w[:, 1] = 1.0, -1.0
    inputs = replace(inputs, q=q, weights=w)
    exact, terms = (
        OP.reference(i, torch.arange(20))[0] for i in (inputs, replace(inputs, weights=inputs.weights.abs()))
    )
    assert (exact == 0).all()
    assert judge(inputs, (1e-7 * terms).float(), torch.arange(20)).passed
    assert not judge(inputs, (1e-4 * terms).float(), torch.arange(20)).passed


def test_tiles_of_the_mask_pass_cover_every_row(monkeypatch):
    monkeypatch.setattr(module, "_TILE", 3 * 300)
    inputs, logits = case("ragged_windows")
    assert judge(inputs, logits).passed
    for row in range(20):
        wrong = logits.clone()
        wrong[row, int(inputs.ks[row])] = -torch.inf
        assert f"row {row}," in judge(inputs, wrong).reason
