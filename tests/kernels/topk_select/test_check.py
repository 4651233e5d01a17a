"""The check must pass every right selection and fail each planted fault, on every row."""

from __future__ import annotations

import json

import pytest
import torch

from dsabench.kernels.topk_select import check as module
from dsabench.kernels.topk_select.contract import DISTRIBUTIONS, OP
from dsabench.kernels.workload import Workload
from tests.kernels.running import poisoned_outputs

SAMPLE = torch.tensor([0, 5, 11])
ROWS = range(12)


def case(distribution: str = "normal", deterministic: int = 0, **axes: int):
    axes = {"rows": 12, "s_kv": 200, "k": 16, "deterministic": deterministic, **axes}
    inputs = Workload.of("topk_select", axes, distribution, seed=9).make_inputs()
    return inputs, OP.reference(inputs, torch.arange(12))[0]


def judge(inputs, indices: torch.Tensor):
    verdict = OP.check(inputs, (indices,), SAMPLE, OP.reference(inputs, SAMPLE))
    assert verdict.passed == (verdict.reason == "")
    json.dumps(verdict.worst, allow_nan=False)
    return verdict


def unselected(inputs, indices: torch.Tensor, row: int, lowest: bool = True) -> int:
    """A column inside the row's window that is not selected."""
    window = range(int(inputs.starts[row]), int(inputs.ends[row]))
    free = sorted(set(window) - set(indices[row].tolist()), key=lambda s: float(inputs.logits[row, s]))
    return free[0 if lowest else -1]


@pytest.mark.parametrize("deterministic", [0, 1])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_right_answer_passes(distribution, deterministic):
    verdict = judge(*case(distribution, deterministic))
    assert verdict.passed, verdict.reason
    assert (verdict.rows_checked, verdict.rows_total) == (12, 12)
    assert verdict.worst == {"higher_scores_left": 0.0}


@pytest.mark.parametrize("distribution", ["equal", "zeros", "signed_zeros", "relu_scores"])
def test_any_of_equal_scores_passes_in_the_default_mode_only(distribution):
    inputs, lowest = case(distribution)
    highest = lowest.clone()
    for row in ROWS:  # the same selection of scores, ties taken from the other end
        scores = inputs.logits[row].flip(0) + 0.0
        highest[row] = (199 - scores.sort(descending=True, stable=True).indices[:16]).sort().values
    assert (highest != lowest).any(-1).all()
    assert judge(inputs, highest).passed
    strict, _ = case(distribution, deterministic=1)
    reason = judge(strict, highest).reason
    assert "lower columns of equal score" in reason


def test_any_order_passes_in_the_default_mode_only():
    inputs, indices = case()
    assert judge(inputs, indices.flip(-1)).passed
    strict, _ = case(deterministic=1)
    assert "ascending" in judge(strict, indices.flip(-1)).reason


@pytest.mark.parametrize("row", ROWS)
def test_one_score_too_low_fails_on_every_row(row):
    inputs, indices = case()
    column = indices[row, 3] = unselected(inputs, indices, row)
    verdict = judge(inputs, indices)
    assert verdict.reason.startswith(f"indices: row {row} selects column {column} of score -")
    # All but the 16 selected; the one that it stands for among them.
    assert verdict.reason.endswith("leaves 184 higher scores of its window")
    assert verdict.worst == {"higher_scores_left": 184.0}


@pytest.mark.parametrize("row", ROWS)
def test_the_next_best_in_place_of_the_last_fails(row):
    inputs, indices = case("near_ties")
    best = inputs.logits[row, indices[row].long()].argmax()
    indices[row, best] = unselected(inputs, indices, row, lowest=False)
    assert not judge(inputs, indices).passed


@pytest.mark.parametrize("deterministic", [0, 1])
@pytest.mark.parametrize("row", [5, 8])
def test_a_duplicate_fails(row, deterministic):
    inputs, indices = case("equal", deterministic)
    indices[row, 4] = indices[row, 3]
    assert f"row {row} holds column {int(indices[row, 3])} more than once" in judge(inputs, indices).reason


@pytest.mark.parametrize("row", [5, 8])
@pytest.mark.parametrize("wrong", ["before", "at the end", "-1", "-2", "far"])
def test_an_index_outside_the_window_fails(row, wrong):
    inputs, indices = case("k_valid", k=16)
    start, end = int(inputs.starts[row]), int(inputs.ends[row])
    bad = {"before": start - 1, "at the end": end, "-1": -1, "-2": -2, "far": 2**31 - 1}[wrong]
    indices[row, 4] = bad
    reason = judge(inputs, indices).reason
    assert f"row {row}, place 4" in reason
    assert f"is {bad}, expected a column in the window [{start}, {end})" in reason


@pytest.mark.parametrize("row", ROWS)
def test_an_unpadded_slot_fails(row):
    inputs, indices = case("k_minus_1_valid")
    assert judge(inputs, indices).passed
    for value in (0, int(indices[row, 0]), -2, 0x7F7F7F7F):
        wrong = indices.clone()
        wrong[row, 15] = value
        assert f"row {row}, place 15 is {value}, expected the padding -1" in judge(inputs, wrong).reason


def test_padding_that_is_not_at_the_end_fails():
    inputs, indices = case("k_minus_1_valid")
    indices[8] = indices[8].roll(1)
    assert "row 8, place 0 of 15 to select is -1" in judge(inputs, indices).reason


def test_an_empty_window_takes_padding_only():
    inputs, indices = case("empty_windows")
    empty = (inputs.starts >= inputs.ends).nonzero().flatten().tolist()
    assert (indices[empty] == -1).all()
    indices[empty[-1], 0] = int(inputs.starts[empty[-1]])
    assert f"row {empty[-1]}, place 0" in judge(inputs, indices).reason


def test_a_stopped_short_selection_fails():
    inputs, indices = case()
    indices[8, 15] = -1
    assert "row 8, place 15 of 16 to select is -1" in judge(inputs, indices).reason


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_poison_left_on_any_row_fails(distribution):
    inputs, indices = case(distribution)
    (poison,) = poisoned_outputs(OP, inputs)
    assert not judge(inputs, poison).passed
    for row in ROWS:
        wrong = indices.clone()
        wrong[row] = poison[row]
        assert f"row {row}," in judge(inputs, wrong).reason


def test_swapped_rows_fail():
    inputs, indices = case()
    indices[[7, 8]] = indices[[8, 7]]
    assert not judge(inputs, indices).passed


def test_columns_counted_from_the_start_of_the_window_fail():
    inputs, indices = case("ragged_windows")
    relative = torch.where(indices >= 0, indices - inputs.starts[:, None], indices)
    assert not judge(inputs, relative).passed


@pytest.mark.parametrize("row", [1, 5, 7])
def test_nan_in_place_of_a_number_fails(row):
    inputs, indices = case("nan_inside")
    scores = inputs.logits[row]
    assert scores[indices[row].long()].isnan().any()  # row 1 and every other one have too few numbers
    number = next(i for i, s in enumerate(indices[row].tolist()) if not scores[s].isnan())
    free = next(s for s in range(200) if scores[s].isnan() and s not in indices[row].tolist())
    indices[row, number] = free
    assert not judge(inputs, indices).passed


def test_minus_infinity_outranks_nan():
    inputs, indices = case("nan_inside")
    inputs.logits[8] = torch.nan
    inputs.logits[8, 100:116] = -torch.inf
    indices[8] = torch.arange(100, 116)
    assert judge(inputs, indices).passed
    indices[8, 3] = 5
    assert "row 8 selects column 5 of score nan and leaves 1 higher scores" in judge(inputs, indices).reason


def test_scores_beyond_the_budget_are_sampled_and_forms_are_not(monkeypatch):
    monkeypatch.setattr(module, "_SCORE_BUDGET", 4 * 200)
    inputs, indices = case()
    verdict = judge(inputs, indices)
    assert verdict.passed
    judged = module._judged_rows(inputs, SAMPLE).tolist()
    assert verdict.rows_checked == len(judged) < 12
    assert set(SAMPLE.tolist()) <= set(judged)
    for row in ROWS:
        low = indices.clone()
        low[row, 3] = unselected(inputs, indices, row)
        assert judge(inputs, low).passed == (row not in judged)
        twice = indices.clone()
        twice[row, 3] = twice[row, 4]
        assert not judge(inputs, twice).passed


def test_tiles_cover_every_row(monkeypatch):
    monkeypatch.setattr(module, "_TILE", 3 * 200)
    for row in ROWS:
        inputs, indices = case()
        indices[row, 3] = unselected(inputs, indices, row)
        assert f"row {row} selects" in judge(inputs, indices).reason


def test_the_reference_alone_would_catch_a_wrong_sampled_row(monkeypatch):
    monkeypatch.setattr(module, "_score_fault", lambda *_: (0, ""))
    inputs, indices = case()
    indices[5, 3] = unselected(inputs, indices, 5)
    assert judge(inputs, indices).reason == "indices: row 5: the selected scores differ from those of a full sort"
    strict, indices = case("zeros", deterministic=1)
    indices[5, 15] += 1
    assert judge(strict, indices).reason == "indices: row 5 differs from the full sort's"
