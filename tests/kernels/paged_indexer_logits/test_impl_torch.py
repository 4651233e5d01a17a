from __future__ import annotations

import pytest
import torch

from dsabench.kernels.paged_indexer_logits.contract import DISTRIBUTIONS, OP
from dsabench.kernels.paged_indexer_logits.impl_torch import IMPLEMENTATION
from dsabench.kernels.workload import Workload
from tests.kernels.running import check_all_rows, legal_configs, run_poisoned

SHAPES = [
    {"b": 3, "next_n": 1, "s_kv": 300, "h": 8},
    {"b": 8, "next_n": 2, "s_kv": 130, "h": 16},
    {"b": 7, "next_n": 3, "s_kv": 64, "h": 32},
    {"b": 2, "next_n": 2, "s_kv": 97, "h": 64},
    {"b": 1, "next_n": 1, "s_kv": 1, "h": 64},
    {"b": 2, "next_n": 4, "s_kv": 2, "h": 8},
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("axes", SHAPES, ids=str)
def test_every_distribution_passes_and_repeats_bit_for_bit(axes, distribution):
    inputs = Workload.of("paged_indexer_logits", axes, distribution, seed=4).make_inputs()
    first = run_poisoned(OP, IMPLEMENTATION, inputs)
    verdict = check_all_rows(OP, inputs, first)
    assert verdict.passed, verdict.reason
    for _ in range(2):
        (again,) = run_poisoned(OP, IMPLEMENTATION, inputs)
        assert torch.equal(again.view(torch.int32), first[0].view(torch.int32))


@pytest.mark.parametrize("distribution", ["normal", "ragged", "nan_key", "shared_prefix", "subnormal_codes"])
def test_every_config_passes(distribution):
    axes = {"b": 6, "next_n": 2, "s_kv": 4500, "h": 8}
    inputs = Workload.of("paged_indexer_logits", axes, distribution, seed=4).make_inputs()
    configs = legal_configs(OP, IMPLEMENTATION, inputs)
    assert len(configs) == 3 * 3
    rows = torch.arange(12)
    expected = OP.reference(inputs, rows)
    for config in configs:
        verdict = OP.check(inputs, run_poisoned(OP, IMPLEMENTATION, inputs, config), rows, expected)
        assert verdict.passed, (config, verdict.reason)


def test_beyond_64k_keys():
    axes = {"b": 1, "next_n": 2, "s_kv": 65536 + 77, "h": 64}
    inputs = Workload.of("paged_indexer_logits", axes).make_inputs()
    assert IMPLEMENTATION.default_config(axes) == {"BLOCK_KV": 65536, "CAST": "torch"}
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs))
    assert verdict.passed, verdict.reason


def test_memory_bounds_prune():
    axes = {"b": 1, "next_n": 1, "s_kv": 131072, "h": 64}
    assert IMPLEMENTATION.default_config(axes)["BLOCK_KV"] == 0
    assert "exceed 32 MB" in IMPLEMENTATION.constraint({"BLOCK_KV": 0, "CAST": "torch"}, axes | {"next_n": 2})
    assert "as 0 does" in IMPLEMENTATION.constraint({"BLOCK_KV": 4096, "CAST": "torch"}, axes | {"s_kv": 4096})
