"""Eager torch under every distribution and awkward shape, in every config, into poisoned outputs."""

import pytest

from dsabench.kernels.sparse_mla_prefill.contract import OP
from dsabench.kernels.sparse_mla_prefill.impl_torch import IMPLEMENTATION
from dsabench.kernels.workload import Workload
from tests.kernels.running import check_all_rows, legal_configs, run_poisoned

SHAPES = (
    {"s_q": 1, "s_kv": 1, "h_q": 1, "topk": 1},
    {"s_q": 7, "s_kv": 150, "h_q": 8, "topk": 64},
    {"s_q": 5, "s_kv": 333, "h_q": 16, "topk": 100},
    {"s_q": 3, "s_kv": 40, "h_q": 64, "topk": 65},
    {"s_q": 9, "s_kv": 9, "h_q": 128, "topk": 3},
)


@pytest.mark.parametrize("axes", SHAPES, ids=str)
@pytest.mark.parametrize("distribution", OP.distributions)
def test_it_passes_the_check(distribution, axes):
    inputs = Workload.of(OP.name, axes, distribution, seed=11).make_inputs()
    OP.validate(inputs)
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs))
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("distribution", ["normal", "out_of_range", "sink_infinite", "topk_length", "no_valid"])
def test_every_config_passes_the_check(distribution):
    inputs = Workload.of(OP.name, {"s_q": 11, "s_kv": 300, "h_q": 8, "topk": 70}, distribution).make_inputs()
    configs = legal_configs(OP, IMPLEMENTATION, inputs)
    assert len(configs) == 8
    for config in configs:
        verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs, config))
        assert verdict.passed, (config, verdict.reason)


def test_blocks_larger_than_the_work_are_pruned():
    axes = OP.complete_axes({"s_q": 3})
    assert "more than s_q = 3" in IMPLEMENTATION.constraint({"BLOCK_Q": 4, "PV": "f32"}, axes)
    wide = OP.complete_axes({"s_q": 64, "topk": 16384})
    assert "the limit is 64" in IMPLEMENTATION.constraint({"BLOCK_Q": 4, "PV": "f32"}, wide)
    assert IMPLEMENTATION.constraint({"BLOCK_Q": 1, "PV": "f32"}, wide) is None
