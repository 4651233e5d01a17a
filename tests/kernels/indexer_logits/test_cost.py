from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from dsabench.kernels.indexer_logits.contract import DISTRIBUTIONS, OP
from dsabench.kernels.workload import Workload


def test_full_windows():
    cost = OP.cost(Workload.of("indexer_logits", {"s_q": 4, "s_kv": 100, "h": 16, "causal": 0}).make_inputs())
    assert cost.flops == 2 * 400 * 16 * 128
    assert cost.compulsory_bytes == 4 * 16 * 128 + 100 * 128 + 100 * 4 + 4 * 16 * 4 + 4 * 8 + 4 * 100 * 4
    assert cost.gather_bytes == cost.compulsory_bytes
    assert cost.product_dtype == "fp8"


def test_causal_pairs_count_once():
    cost = OP.cost(Workload.of("indexer_logits", {"s_q": 4, "s_kv": 10, "h": 8}).make_inputs())
    assert cost.flops == 2 * (7 + 8 + 9 + 10) * 8 * 128


def test_keys_between_windows_are_not_read():
    inputs = Workload.of("indexer_logits", {"s_q": 3, "s_kv": 100, "h": 8}).make_inputs()
    windows = {"ks": [10, 60, 50], "ke": [20, 70, 40]}
    inputs = replace(inputs, **{name: torch.tensor(v, dtype=torch.int32) for name, v in windows.items()})
    cost = OP.cost(inputs)
    assert cost.flops == 2 * 20 * 8 * 128
    assert cost.compulsory_bytes == 20 * 132 + 2 * 8 * 132 + 3 * 8 + 3 * 100 * 4


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_cost_is_that_of_the_windows_pair_by_pair(distribution):
    inputs = Workload.of("indexer_logits", {"s_q": 7, "s_kv": 33, "h": 8}, distribution).make_inputs()
    pairs = {(t, s) for t in range(7) for s in range(int(inputs.ks[t]), int(inputs.ke[t]))}
    cost = OP.cost(inputs)
    assert cost.flops == 2 * len(pairs) * 8 * 128
    queries, keys = {t for t, _ in pairs}, {s for _, s in pairs}
    assert cost.compulsory_bytes == len(keys) * 132 + len(queries) * 8 * 132 + 7 * 8 + 7 * 33 * 4
