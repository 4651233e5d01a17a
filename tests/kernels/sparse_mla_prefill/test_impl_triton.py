"""The Triton kernel in Triton's interpreter: every distribution, every choice of every tunable, awkward shapes."""

import dataclasses

import pytest
import torch

from dsabench.kernels.sparse_mla_prefill.contract import OP
from dsabench.kernels.sparse_mla_prefill.impl_triton import IMPLEMENTATION
from dsabench.kernels.workload import Workload
from tests.kernels.cpu_cases import one_at_a_time
from tests.kernels.running import check_all_rows, check_configs, run_poisoned
from tests.kernels.triton.wgmma_work import wgmma_work

SWAPPED = {"SWAP": True, "BLOCK_H": 16}


def inputs_of(axes, distribution="normal", seed=5):
    return Workload.of(OP.name, axes, distribution, seed).make_inputs()


@pytest.mark.parametrize("distribution", OP.distributions)
@pytest.mark.parametrize("h_q", [8, 64])
def test_every_distribution_passes_the_check(distribution, h_q):
    axes = {"s_q": 3, "s_kv": 150, "h_q": h_q, "topk": 70}
    assert check_configs(OP.name, "triton", axes, distribution, [{}], seed=3) == 1


@pytest.mark.parametrize(
    "axes",
    [
        {"s_q": 1, "s_kv": 1, "h_q": 1, "topk": 1},
        {"s_q": 2, "s_kv": 300, "h_q": 16, "topk": 256},
        {"s_q": 2, "s_kv": 300, "h_q": 20, "topk": 65},
        {"s_q": 2, "s_kv": 90, "h_q": 80, "topk": 64},
        {"s_q": 1, "s_kv": 300, "h_q": 128, "topk": 129},
    ],
    ids=str,
)
def test_awkward_shapes_pass_the_check(axes):
    assert check_configs(OP.name, "triton", axes, "valid_after_padding", [{}], seed=4) == 1


@pytest.mark.parametrize("h_q", [40])
def test_every_choice_of_every_tunable_passes_the_check(h_q):
    axes = {"s_q": 2, "s_kv": 150, "h_q": h_q, "topk": 70}
    wide = [{**config, "SWAP": True, "BLOCK_KV": 128, "NUM_STAGES": 1} for config in ({"BLOCK_H": 16}, {"BLOCK_H": 32})]
    swapped = [{**SWAPPED, **config} for config in one_at_a_time(OP.name, "triton")]
    configs = one_at_a_time(OP.name, "triton") + swapped + wide
    legal = {"normal": 0, "topk_length": 0}
    for distribution in legal:
        legal[distribution] = check_configs(OP.name, "triton", axes, distribution, configs, seed=6)
    assert legal["normal"] == legal["topk_length"] >= 12


def test_a_row_no_entry_selects_may_hold_nan():
    axes = {"s_q": 2, "s_kv": 100, "h_q": 8, "topk": 64}
    inputs = inputs_of(axes, "out_of_range")
    inputs.indices[inputs.indices == 0] = 1
    inputs.kv[1].fill_(0.25)
    inputs.kv[0].fill_(torch.nan)
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs))
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("sm_scale", [0.0, -0.3, 1.0])
@pytest.mark.parametrize("config", [{}, SWAPPED], ids=["default", "swapped"])
def test_any_finite_scale(sm_scale, config):
    inputs = dataclasses.replace(inputs_of({"s_q": 2, "s_kv": 90, "h_q": 40, "topk": 50}), sm_scale=sm_scale)
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs, config))
    assert verdict.passed, verdict.reason


def test_sink_and_length_together():
    inputs = inputs_of({"s_q": 4, "s_kv": 120, "h_q": 8, "topk": 70}, "topk_length")
    inputs = dataclasses.replace(inputs, attn_sink=torch.tensor([0.0, -torch.inf, torch.inf, 3.0, 5.0, 6.0, -2.0, 4.0]))
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs))
    assert verdict.passed, verdict.reason


def test_repeats_are_bitwise_equal_and_inputs_left_alone():
    inputs = inputs_of({"s_q": 2, "s_kv": 200, "h_q": 16, "topk": 100}, "repeated_index")
    before = [inputs.q.clone(), inputs.kv.clone(), inputs.indices.clone()]
    first, second = (run_poisoned(OP, IMPLEMENTATION, inputs) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    for tensor, copy in zip((inputs.q, inputs.kv, inputs.indices), before, strict=True):
        assert torch.equal(tensor.view(torch.uint8), copy.view(torch.uint8))


@pytest.mark.parametrize("h_q", range(1, 129))
def test_the_default_is_legal_and_there_are_few_configs(h_q):
    axes = OP.complete_axes({"h_q": h_q})
    assert IMPLEMENTATION.constraint(IMPLEMENTATION.default_config(axes), axes) is None
    assert 6 <= sum(IMPLEMENTATION.constraint(config, axes) is None for config in IMPLEMENTATION.configs()) <= 40


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"BLOCK_H": 16}, "fewer heads need SWAP"),
        ({"NUM_WARPS": 4}, "spill a kilobyte"),
        ({"BLOCK_KV": 128}, "128 keys beside 64 heads"),
        ({"NUM_STAGES": 5}, "do not fit"),
        ({**SWAPPED, "BLOCK_KV": 32}, "SWAP needs 64 keys"),
    ],
    ids=str,
)
def test_what_cannot_run_is_refused_in_words(config, reason):
    with pytest.raises(ValueError, match=reason):
        IMPLEMENTATION.check_config(config, OP.complete_axes({}))


@pytest.mark.parametrize("h_q", [16, 128])
def test_compiled_the_default_issues_wgmma_only_and_no_product_twice(h_q):
    work = wgmma_work(OP.name, {"h_q": h_q}, {})
    assert work["issued"] == work["useful"]
    assert work["mma_sync"] == 0
