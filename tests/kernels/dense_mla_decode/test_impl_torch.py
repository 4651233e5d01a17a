"""Eager torch under every distribution and awkward shape, in every config, into poisoned outputs."""

import pytest

from dsabench.kernels.dense_mla_decode.contract import OP
from dsabench.kernels.dense_mla_decode.impl_torch import IMPLEMENTATION
from dsabench.kernels.workload import Workload
from tests.kernels.running import check_all_rows, legal_configs, run_poisoned

SHAPES = (
    {"b": 1, "s_q": 1, "s_kv": 1, "h_q": 1, "page": 1},
    {"b": 3, "s_q": 1, "s_kv": 150, "h_q": 8, "page": 2},
    {"b": 2, "s_q": 3, "s_kv": 333, "h_q": 16, "page": 53},
    {"b": 4, "s_q": 2, "s_kv": 122, "h_q": 64, "page": 61},
    {"b": 1, "s_q": 2, "s_kv": 200, "h_q": 128, "page": 64},
)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("axes", SHAPES, ids=str)
@pytest.mark.parametrize("distribution", OP.distributions)
def test_it_passes_the_check(distribution, axes, causal):
    inputs = Workload.of(OP.name, {**axes, "causal": causal}, distribution, seed=11).make_inputs()
    OP.validate(inputs)
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs))
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("distribution", ["normal", "rising", "peaked", "ragged"])
def test_every_config_passes_the_check(distribution):
    """1100 keys: three tiles at BLOCK_KV 512, the last one partly hidden from the first causal query."""
    axes = {"b": 2, "s_q": 2, "s_kv": 1100, "h_q": 4, "page": 64, "causal": 1}
    inputs = Workload.of(OP.name, axes, distribution).make_inputs()
    configs = legal_configs(OP, IMPLEMENTATION, inputs)
    assert len(configs) == 6
    for config in configs:
        verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs, config))
        assert verdict.passed, (config, verdict.reason)


def test_a_tile_hidden_from_a_causal_query():
    """513 keys at BLOCK_KV 512: the second tile is one key, which the first of two queries does not see."""
    axes = {"b": 1, "s_q": 2, "s_kv": 513, "h_q": 2, "page": 1, "causal": 1}
    inputs = Workload.of(OP.name, axes).make_inputs()
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs, {"BLOCK_KV": 512}))
    assert verdict.passed, verdict.reason
