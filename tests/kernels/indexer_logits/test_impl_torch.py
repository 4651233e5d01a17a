from __future__ import annotations

import pytest
import torch

from dsabench.kernels.fp8 import E4M3_VALUES
from dsabench.kernels.indexer_logits.contract import DISTRIBUTIONS, OP
from dsabench.kernels.indexer_logits.impl_torch import IMPLEMENTATION, cast_keys
from dsabench.kernels.workload import Workload
from tests.kernels.running import check_all_rows, legal_configs, run_poisoned

SHAPES = [
    {"s_q": 5, "s_kv": 300, "h": 8},
    {"s_q": 7, "s_kv": 130, "h": 16, "causal": 0},
    {"s_q": 3, "s_kv": 64, "h": 32},
    {"s_q": 9, "s_kv": 97, "h": 64},
    {"s_q": 1, "s_kv": 1, "h": 64},
    {"s_q": 5, "s_kv": 2, "h": 8},
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("axes", SHAPES, ids=str)
def test_every_distribution_passes_and_repeats_bit_for_bit(axes, distribution):
    inputs = Workload.of("indexer_logits", axes, distribution, seed=4).make_inputs()
    first = run_poisoned(OP, IMPLEMENTATION, inputs)
    verdict = check_all_rows(OP, inputs, first)
    assert verdict.passed, verdict.reason
    for _ in range(2):
        (again,) = run_poisoned(OP, IMPLEMENTATION, inputs)
        assert torch.equal(again.view(torch.int32), first[0].view(torch.int32))


@pytest.mark.parametrize("distribution", ["normal", "ragged_windows", "nan_key", "nan_outside", "subnormal_codes"])
def test_every_config_passes(distribution):
    inputs = Workload.of("indexer_logits", {"s_q": 19, "s_kv": 4500, "h": 8}, distribution, seed=4).make_inputs()
    configs = legal_configs(OP, IMPLEMENTATION, inputs)
    assert len(configs) == 3 * 3 * 3
    rows = torch.arange(19)
    expected = OP.reference(inputs, rows)
    for config in configs:
        verdict = OP.check(inputs, run_poisoned(OP, IMPLEMENTATION, inputs, config), rows, expected)
        assert verdict.passed, (config, verdict.reason)


def test_beyond_64k_keys():
    inputs = Workload.of("indexer_logits", {"s_q": 3, "s_kv": 65537 + 40, "h": 64}).make_inputs()
    for config in ({}, {"BLOCK_KV": 65536, "CAST": "bits"}):
        verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs, config))
        assert verdict.passed, verdict.reason


@pytest.mark.parametrize("how", ["torch", "table", "bits"])
def test_every_cast_gives_every_code_its_value(how):
    codes = torch.arange(256, dtype=torch.uint8).view(2, 128)
    got = cast_keys(codes.view(torch.float8_e4m3fn), how)
    torch.testing.assert_close(got.flatten(), torch.from_numpy(E4M3_VALUES), rtol=0, atol=0, equal_nan=True)
    assert (codes == torch.arange(256, dtype=torch.uint8).view(2, 128)).all()  # the keys are not written to


def test_memory_bounds_prune():
    axes = {"s_q": 64, "s_kv": 131072, "h": 64, "causal": 1}
    assert IMPLEMENTATION.default_config(axes)["BLOCK_KV"] == 0
    reason = IMPLEMENTATION.constraint({"BLOCK_Q": 4, "BLOCK_KV": 0, "CAST": "torch"}, axes)
    assert reason == "256 x 131072 float32 scores at a time exceed 32 MB"
    long = axes | {"s_kv": 1 << 20}
    assert IMPLEMENTATION.default_config(long)["BLOCK_KV"] == 65536
    keys = IMPLEMENTATION.constraint({"BLOCK_Q": 1, "BLOCK_KV": 0, "CAST": "torch"}, long)
    assert keys == "1048576 float32 keys at a time exceed 64 MB"
