from __future__ import annotations

import pytest
import torch

from dsabench.kernels.topk_select.contract import DISTRIBUTIONS, OP
from dsabench.kernels.topk_select.impl_torch import IMPLEMENTATION, MAX_MASKED_BYTES
from dsabench.kernels.workload import Workload
from tests.kernels.running import check_all_rows, legal_configs, run_poisoned

SHAPES = [
    {"rows": 9, "s_kv": 1000, "k": 64},
    {"rows": 5, "s_kv": 50, "k": 64},
    {"rows": 6, "s_kv": 100, "k": 1},
    {"rows": 4, "s_kv": 64, "k": 64},
    {"rows": 3, "s_kv": 1, "k": 1},
    {"rows": 3, "s_kv": 300, "k": 4096},
]


@pytest.mark.parametrize("deterministic", [0, 1])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("axes", SHAPES, ids=str)
def test_every_config_passes_on_every_distribution(axes, distribution, deterministic):
    inputs = Workload.of("topk_select", axes | {"deterministic": deterministic}, distribution, seed=4).make_inputs()
    rows = torch.arange(axes["rows"])
    expected = OP.reference(inputs, rows)
    configs = legal_configs(OP, IMPLEMENTATION, inputs)
    assert len(configs) >= 2
    for config in configs:
        verdict = OP.check(inputs, run_poisoned(OP, IMPLEMENTATION, inputs, config), rows, expected)
        assert verdict.passed, (config, verdict.reason)


@pytest.mark.parametrize("deterministic", [0, 1])
def test_beyond_64k_columns(deterministic):
    axes = {"rows": 2, "s_kv": 65536 + 77, "k": 2048, "deterministic": deterministic}
    for distribution in ("normal", "one_bin", "relu_scores"):
        inputs = Workload.of("topk_select", axes, distribution).make_inputs()
        verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs))
        assert verdict.passed, verdict.reason


@pytest.mark.parametrize("mask", ["copy", "narrow"])
def test_sorted_returns_the_highest_first(mask):
    inputs = Workload.of("topk_select", {"rows": 4, "s_kv": 500, "k": 32}, "ragged_windows").make_inputs()
    config = {"MASK": mask, "SORTED": True, "ROWS_PER_CALL": 1}
    (indices,) = run_poisoned(OP, IMPLEMENTATION, inputs, config)
    for scores, chosen in zip(inputs.logits, indices, strict=True):
        selected = scores[chosen[chosen >= 0].long()]
        assert (selected.diff() <= 0).all()


def test_inputs_are_not_written_to():
    inputs = Workload.of("topk_select", {"rows": 4, "s_kv": 100, "k": 8}, "nan_inside").make_inputs()
    before = inputs.logits.view(torch.int32).clone()
    run_poisoned(OP, IMPLEMENTATION, inputs)
    assert torch.equal(inputs.logits.view(torch.int32), before)


def test_memory_bound_prunes_and_the_default_stays_under_it():
    for s_kv in (4096, 131072, 1 << 20):
        axes = {"rows": 64, "s_kv": s_kv, "k": 2048, "deterministic": 0}
        step = IMPLEMENTATION.default_config(axes)["ROWS_PER_CALL"]
        assert step * s_kv * 4 <= MAX_MASKED_BYTES
    config = {"MASK": "copy", "SORTED": True, "ROWS_PER_CALL": 64, "TIES": "sort"}
    assert "64 x 1048576 scores exceeds 32 MB" in IMPLEMENTATION.constraint(config, axes)
