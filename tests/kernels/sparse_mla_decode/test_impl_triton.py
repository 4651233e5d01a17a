"""The Triton kernels in Triton's interpreter: every distribution, every choice of every tunable, splits, odd pages."""

import dataclasses

import pytest
import torch

from dsabench.kernels.sparse_mla_decode.contract import OP
from dsabench.kernels.sparse_mla_decode.impl_triton import IMPLEMENTATION
from dsabench.kernels.workload import Workload
from tests.kernels.cpu_cases import one_at_a_time
from tests.kernels.running import check_all_rows, check_configs, poisoned_outputs, run_poisoned
from tests.kernels.triton.wgmma_work import wgmma_work

# The interpreter takes 0.4 s to convert a tile of fp8 codes: few queries and short lists.
SMALL = {"BLOCK_KV": 32}
SWAPPED = {"SWAP": True, "BLOCK_H": 16}


def inputs_of(axes, distribution="normal", seed=5):
    return Workload.of(OP.name, axes, distribution, seed).make_inputs()


@pytest.mark.parametrize("distribution", OP.distributions)
def test_every_distribution_passes_the_check(distribution):
    axes = {"b": 1, "s_q": 3, "s_kv": 90, "h_q": 8, "topk": 40, "page": 16}
    # One split with the op's own outputs, then two: the second has 8 entries, or none.
    configs = [{"NUM_SPLITS": 1}] if distribution == "ue8m0" else [{**SMALL, "NUM_SPLITS": n} for n in (1, 2)]
    assert check_configs(OP.name, "triton", axes, distribution, configs, seed=3) == len(configs)


@pytest.mark.parametrize(
    "axes",
    [
        {"b": 1, "s_q": 1, "s_kv": 1, "h_q": 1, "topk": 1, "page": 1},
        {"b": 2, "s_q": 1, "s_kv": 60, "h_q": 16, "topk": 30, "page": 53},
        {"b": 1, "s_q": 1, "s_kv": 130, "h_q": 80, "topk": 65, "page": 61},
        {"b": 1, "s_q": 1, "s_kv": 300, "h_q": 128, "topk": 256, "page": 64},
    ],
    ids=str,
)
def test_awkward_shapes_pass_the_check(axes):
    assert check_configs(OP.name, "triton", axes, "valid_after_padding", [{}], seed=4) == 1


@pytest.mark.parametrize("h_q", [40])
def test_every_choice_of_every_tunable_passes_the_check(h_q):
    axes = {"b": 1, "s_q": 1, "s_kv": 100, "h_q": h_q, "topk": 98, "page": 2}
    configs = [config for config in one_at_a_time(OP.name, "triton") if "SWAP" not in config]
    configs += [SWAPPED, {**SMALL, "NUM_STAGES": 5, "NUM_SPLITS": 4}]
    assert check_configs(OP.name, "triton", axes, "normal", configs, seed=6) >= 7


def test_splits_beyond_the_entries_are_empty():
    inputs = inputs_of({"b": 1, "s_q": 3, "s_kv": 90, "h_q": 8, "topk": 50, "page": 64})
    inputs = dataclasses.replace(inputs, topk_length=torch.tensor([[0, 1, 33]], dtype=torch.int32))
    config = {**IMPLEMENTATION.default_config(OP.axes_of(inputs)), **SMALL, "NUM_SPLITS": 8}
    outputs = poisoned_outputs(OP, inputs)
    IMPLEMENTATION.run(inputs, outputs, config)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    assert torch.isneginf(outputs[1][0, 0]).all()


@pytest.mark.parametrize("splits", [1, 2])
def test_sink_and_length_together(splits):
    inputs = inputs_of({"b": 2, "s_q": 1, "s_kv": 70, "h_q": 8, "topk": 64, "page": 16}, "topk_length")
    inputs = dataclasses.replace(inputs, attn_sink=torch.tensor([0.0, -torch.inf, torch.inf, 3.0, 5.0, 6.0, -2.0, 4.0]))
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs, {**SMALL, "NUM_SPLITS": splits}))
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("sm_scale", [0.0, -0.3])
def test_any_finite_scale(sm_scale):
    inputs = inputs_of({"b": 1, "s_q": 1, "s_kv": 70, "h_q": 8, "topk": 64, "page": 16})
    inputs = dataclasses.replace(inputs, sm_scale=sm_scale)
    verdict = check_all_rows(OP, inputs, run_poisoned(OP, IMPLEMENTATION, inputs, {**SMALL, "NUM_SPLITS": 2}))
    assert verdict.passed, verdict.reason


def test_repeats_are_bitwise_equal_and_inputs_left_alone():
    inputs = inputs_of({"b": 1, "s_q": 1, "s_kv": 90, "h_q": 16, "topk": 80, "page": 53}, "repeated_index")
    before = [inputs.q.clone(), inputs.kv_cache.clone(), inputs.indices.clone()]
    config = {**SMALL, "NUM_SPLITS": 2}
    first, second = (run_poisoned(OP, IMPLEMENTATION, inputs, config) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    for tensor, copy in zip((inputs.q, inputs.kv_cache, inputs.indices), before, strict=True):
        assert torch.equal(tensor.view(torch.uint8), copy.view(torch.uint8))


@pytest.mark.parametrize("h_q", [1, 8, 16, 17, 32, 64, 65, 128])
@pytest.mark.parametrize("topk", [1, 64, 100, 2048])
@pytest.mark.parametrize("b", [1, 74, 4000])
def test_the_default_is_legal_and_there_are_few_configs(h_q, topk, b):
    axes = OP.complete_axes({"b": b, "h_q": h_q, "topk": topk})
    assert IMPLEMENTATION.constraint(IMPLEMENTATION.default_config(axes), axes) is None
    assert 5 <= sum(IMPLEMENTATION.constraint(config, axes) is None for config in IMPLEMENTATION.configs()) <= 48


def test_the_default_splits_fill_the_gpu_and_no_more():
    splits = {
        b: IMPLEMENTATION.default_config(OP.complete_axes({"b": b, "s_q": 2, "h_q": 128}))["NUM_SPLITS"]
        for b in (2, 64, 74, 128)
    }
    # 8 programs: 128 of 132 SMs; 256 and 512 programs nearly fill whole waves, 296 leave most of the third empty.
    assert splits == {2: 16, 64: 1, 74: 2, 128: 1}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"BLOCK_H": 16}, "fewer heads need SWAP"),
        ({"SWAP": True}, "spills 456 bytes"),
        (SWAPPED, "dequantize every tile 8 times"),
        ({"NUM_STAGES": 5}, "do not fit"),
        ({"NUM_SPLITS": 4}, "only 2 tiles"),
    ],
    ids=str,
)
def test_what_cannot_run_is_refused_in_words(config, reason):
    with pytest.raises(ValueError, match=reason):
        IMPLEMENTATION.check_config(config, OP.complete_axes({"topk": 128}))


def test_compiled_the_default_issues_wgmma_only_and_no_product_twice():
    work = wgmma_work(OP.name, {"h_q": 128}, {})
    assert work["issued"] == work["useful"]
    assert work["mma_sync"] == 0
