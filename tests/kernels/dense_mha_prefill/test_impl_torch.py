"""Eager torch under every distribution and awkward shape, in every config, into poisoned outputs."""

import pytest

from dsabench.kernels.dense_mha_prefill.contract import OP
from dsabench.kernels.dense_mha_prefill.impl_torch import IMPLEMENTATION
from dsabench.kernels.workload import Workload
from tests.kernels.running import check_all_rows, legal_configs, run_poisoned

SHAPES = (
    {"s_q": 1, "s_kv": 1, "h_q": 1},
    {"s_q": 7, "s_kv": 7, "h_q": 8},
    {"s_q": 33, "s_kv": 301, "h_q": 3},
    {"s_q": 1, "s_kv": 90, "h_q": 16},
    {"s_q": 2, "s_kv": 65, "h_q": 128},
)


@pytest.mark.parametrize("call", ["matmul", "sdpa"])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("axes", SHAPES, ids=str)
@pytest.mark.parametrize("distribution", OP.distributions)
def test_it_passes_the_check(distribution, axes, causal, call):
    inputs = Workload.of(OP.name, {**axes, "causal": causal}, distribution, seed=11).make_inputs()
    OP.validate(inputs)
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs, {"CALL": call}))
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("distribution", ["normal", "rising"])
def test_every_config_passes_the_check(distribution, causal):
    """130 queries at the end of 1100 keys: tiles with all, some and none of their keys hidden."""
    axes = {"s_q": 130, "s_kv": 1100, "h_q": 2, "causal": causal}
    inputs = Workload.of(OP.name, axes, distribution).make_inputs()
    configs = legal_configs(OP, IMPLEMENTATION, inputs)
    assert len(configs) == 9
    for config in configs:
        verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs, config))
        assert verdict.passed, (config, verdict.reason)


def test_tunables_without_effect_are_pruned():
    axes = OP.complete_axes({})
    reason = IMPLEMENTATION.constraint({"CALL": "sdpa", "BLOCK_Q": 64, "BLOCK_KV": 4096, "PV": "bf16"}, axes)
    assert "BLOCK_Q plays no role with CALL = sdpa" in reason
