"""The TileLang programs: the CUDA C++ they are lowered to, run on the CPU by `cuda_emulator`; their plans."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dsabench.kernels.implementation import Config
from dsabench.kernels.op import Outputs
from dsabench.kernels.sparse_mla_prefill.contract import OP, Inputs
from dsabench.kernels.sparse_mla_prefill.impl_tilelang import IMPLEMENTATION
from dsabench.kernels.workload import Workload
from tests.kernels.emulated_cuda import needs_compiler
from tests.kernels.emulated_tilelang import emulate
from tests.kernels.running import check_all_rows, poisoned_outputs

pytest.importorskip("tilelang")

# Lowering a program takes seconds: all emulated tests share these, of h_q heads, with sinks and lengths.
H_Q = 72
SPECIALIZED: Config = {"FORM": "specialized", "BLOCK_N": 64, "NUM_STAGES": 2}
UNIFORM: Config = {"FORM": "uniform", "BLOCK_N": 32, "NUM_STAGES": 3}
by_form = pytest.mark.parametrize("config", [SPECIALIZED, UNIFORM], ids=["specialized", "uniform"])


def inputs_of(axes: dict[str, int], distribution: str = "normal", seed: int = 5) -> Inputs:
    """With sinks and lengths that change nothing where the distribution has none."""
    inputs = Workload.of(OP.name, {**axes, "h_q": H_Q}, distribution, seed).make_inputs()
    s_q, topk = axes["s_q"], axes["topk"]
    sink = torch.full((H_Q,), -torch.inf) if inputs.attn_sink is None else inputs.attn_sink
    length = torch.full((s_q,), topk, dtype=torch.int32) if inputs.topk_length is None else inputs.topk_length
    return dataclasses.replace(inputs, attn_sink=sink, topk_length=length)


def attend(inputs: Inputs, config: Config, seed: int = 0) -> Outputs:
    """Checked on every row. seed: of the order in which threads take turns, and when copies and products are done."""
    outputs = poisoned_outputs(OP, inputs)
    emulate(IMPLEMENTATION.plan(inputs, outputs, config), seed)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    return outputs


@needs_compiler
@by_form
@pytest.mark.parametrize("distribution", OP.distributions)
def test_every_distribution(distribution, config):
    attend(inputs_of({"s_q": 1, "s_kv": 150, "topk": 70}, distribution), config, len(distribution))


@needs_compiler
@by_form
@pytest.mark.parametrize(("s_kv", "topk"), [(1, 1), (70, 63), (130, 65), (400, 330)])
def test_awkward_lengths(s_kv, topk, config):
    """One key, a tile but one, a tile and one, rings that turn more than twice."""
    attend(inputs_of({"s_q": 1, "s_kv": s_kv, "topk": topk}, "valid_after_padding"), config)


@needs_compiler
@by_form
def test_any_scale_sink_and_length(config):
    inputs = inputs_of({"s_q": 4, "s_kv": 90, "topk": 70}, "out_of_range")
    sink = torch.linspace(-4, 12, H_Q)
    sink[:3] = torch.tensor([torch.inf, -torch.inf, 0.0])
    for seed, sm_scale in enumerate((0.0, -0.3, 1.0)):
        length = torch.tensor([0, 1, 65, 70], dtype=torch.int32)
        few = dataclasses.replace(inputs, sm_scale=sm_scale, attn_sink=sink, topk_length=length)
        out, lse = attend(few, config, seed)
        assert torch.isneginf(lse[0]).all()
        assert not out[0].any()


@needs_compiler
@by_form
def test_the_bits_are_the_same_in_any_order_of_threads_and_copies(config):
    inputs = inputs_of({"s_q": 1, "s_kv": 260, "topk": 250}, "repeated_index")
    first, *others = (attend(inputs, config, seed) for seed in range(4))
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("h_q", [1, 16, 64, 65, 128])
def test_the_default_is_legal_and_there_are_few_configs(h_q):
    axes = OP.complete_axes({"h_q": h_q})
    assert IMPLEMENTATION.constraint(IMPLEMENTATION.default_config(axes), axes) is None
    assert sum(IMPLEMENTATION.constraint(config, axes) is None for config in IMPLEMENTATION.configs()) == 9


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"NUM_STAGES": 3}, "do not fit in shared memory"),
        ({"FORM": "uniform", "NUM_STAGES": 1}, "nothing ahead"),
        ({"BLOCK_N": 32, "NUM_STAGES": 1}, "for gathering ahead"),
    ],
    ids=str,
)
def test_what_cannot_run_is_refused_in_words(config, reason):
    with pytest.raises(ValueError, match=reason):
        IMPLEMENTATION.check_config(config, OP.complete_axes({}))


def test_slices_that_begin_anywhere_are_copied():
    inputs = inputs_of({"s_q": 3, "s_kv": 60, "topk": 33})
    cut = dataclasses.replace(inputs, q=inputs.q[1:], indices=inputs.indices[1:], topk_length=inputs.topk_length[1:])
    (launch,) = IMPLEMENTATION.plan(cut, OP.empty_outputs(cut), SPECIALIZED)
    for name in ("indices", "topk_length"):
        assert launch.arguments[name].storage_offset() == 0
        assert torch.equal(launch.arguments[name], getattr(cut, name).view(launch.arguments[name].shape))
    assert launch.arguments["q"].data_ptr() == cut.q.data_ptr()
