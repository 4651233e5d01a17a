"""The rules are those of `indexer_logits`, tested there; here that the paged op hands its own windows and NaN to them."""

from __future__ import annotations

import pytest
import torch

from dsabench.kernels.index_cache import key_codes
from dsabench.kernels.paged_indexer_logits.contract import DISTRIBUTIONS, OP
from dsabench.kernels.workload import Workload

SAMPLE = torch.tensor([0, 5, 13])


def case(distribution: str = "normal"):
    axes = {"b": 7, "next_n": 2, "s_kv": 200, "h": 8}
    inputs = Workload.of("paged_indexer_logits", axes, distribution, seed=9).make_inputs()
    return inputs, OP.reference(inputs, torch.arange(14))[0].float()


def judge(inputs, logits: torch.Tensor):
    return OP.check(inputs, (logits,), SAMPLE, OP.reference(inputs, SAMPLE))


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_the_right_answer_passes(distribution):
    verdict = judge(*case(distribution))
    assert verdict.passed, verdict.reason
    assert (verdict.rows_checked, verdict.rows_total) == (3, 14)


@pytest.mark.parametrize("row", [5, 8])
def test_a_mask_one_off_fails_on_every_row(row):
    inputs, logits = case()
    end = int(inputs.context_lens.flatten()[row])
    narrow = logits.clone()
    narrow[row, end - 1] = -torch.inf
    assert f"row {row}, column {end - 1}" in judge(inputs, narrow).reason
    if end < 200:
        logits[row, end] = 0.0
        assert f"row {row}, column {end}" in judge(inputs, logits).reason


def test_queries_of_a_sequence_swapped_fail():
    inputs, logits = case()
    logits[[0, 1], :100] = logits[[1, 0], :100]
    assert "row 0" in judge(inputs, logits).reason


def test_sequences_swapped_fail():
    inputs, logits = case()
    logits[[4, 5, 6, 7]] = logits[[6, 7, 4, 5]]
    assert "row 5" in judge(inputs, logits).reason


def test_a_dropped_last_block_fails():
    inputs, logits = case()
    logits[13, 192:] = 0.0
    assert "row 13" in judge(inputs, logits).reason


@pytest.mark.parametrize("row", range(14))
def test_poison_left_on_any_row_fails(row):
    inputs, logits = case()
    logits[row, 100] = torch.nan
    assert f"row {row}, column 100" in judge(inputs, logits).reason


def test_nan_of_the_cache_is_accepted_where_it_stands_only():
    inputs, _ = case()
    block, slot = int(inputs.block_table[4, 1]), 7
    key_codes(inputs.k_cache).view(torch.uint8)[block, slot, 0] = 0xFF
    logits = OP.reference(inputs, torch.arange(14))[0].float()
    assert logits.isnan().nonzero().tolist() == [[8, 71], [9, 71]]
    assert judge(inputs, logits).passed
    logits[10, 71] = torch.nan
    assert "row 10, column 71" in judge(inputs, logits).reason
