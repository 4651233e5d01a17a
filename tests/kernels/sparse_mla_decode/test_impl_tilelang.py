"""The TileLang programs: the CUDA C++ they are lowered to, run on the CPU by `cuda_emulator`; their plans."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dsabench.kernels.implementation import Config
from dsabench.kernels.kv_cache import TOKEN_BYTES, dequantize_tokens, pack_tokens
from dsabench.kernels.op import Outputs
from dsabench.kernels.sparse_mla_decode.contract import OP, Inputs
from dsabench.kernels.sparse_mla_decode.impl_tilelang import IMPLEMENTATION
from dsabench.kernels.workload import Workload
from tests.kernels.emulated_cuda import needs_compiler
from tests.kernels.emulated_tilelang import emulate
from tests.kernels.running import check_all_rows, poisoned_outputs

pytest.importorskip("tilelang")

# Lowering a program takes seconds: all emulated tests share these, of h_q heads, with sinks and lengths; how many splits there are is
# no constant of theirs.
H_Q = 72
WHOLE: Config = {"BLOCK_N": 32, "NUM_STAGES": 4, "NUM_SPLITS": 1}
SPLIT: Config = {"BLOCK_N": 64, "NUM_STAGES": 2, "NUM_SPLITS": 2}
by_config = pytest.mark.parametrize("config", [WHOLE, SPLIT], ids=["whole", "split"])


def inputs_of(axes: dict[str, int], distribution: str = "normal", seed: int = 5) -> Inputs:
    """With sinks and lengths that change nothing where the distribution has none."""
    whole = OP.complete_axes({"b": 1, "s_q": 1, "page": 16, **axes, "h_q": H_Q})
    inputs = Workload.of(OP.name, whole, distribution, seed).make_inputs()
    sink = torch.full((H_Q,), -torch.inf) if inputs.attn_sink is None else inputs.attn_sink
    length = inputs.topk_length
    if length is None:
        length = torch.full(inputs.indices.shape[:2], whole["topk"], dtype=torch.int32)
    return dataclasses.replace(inputs, attn_sink=sink, topk_length=length)


def attend(inputs: Inputs, config: Config, seed: int = 0) -> Outputs:
    """Checked on every row. seed: of the order in which threads take turns, and when copies and products are done."""
    outputs = poisoned_outputs(OP, inputs)
    emulate(IMPLEMENTATION.plan(inputs, outputs, config), seed)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    return outputs


@needs_compiler
@by_config
@pytest.mark.parametrize("distribution", OP.distributions)
def test_every_distribution(distribution, config):
    attend(inputs_of({"s_q": 2, "s_kv": 150, "topk": 100}, distribution), config, len(distribution))


@needs_compiler
@by_config
@pytest.mark.parametrize(("s_kv", "topk", "page"), [(1, 1, 1), (70, 63, 53), (130, 65, 2), (400, 330, 64)])
def test_awkward_lengths_and_pages(s_kv, topk, page, config):
    """One key, a tile but one, a tile and one, rings that turn more than twice; splits without a tile."""
    inputs = inputs_of({"b": 2, "s_kv": s_kv, "topk": topk, "page": page}, "valid_after_padding")
    for splits in {int(config["NUM_SPLITS"]), 4 * int(config["NUM_SPLITS"]) - 3}:
        attend(inputs, {**config, "NUM_SPLITS": splits})


@needs_compiler
@by_config
def test_any_scale_sink_and_length(config):
    inputs = inputs_of({"s_q": 4, "s_kv": 90, "topk": 70}, "out_of_range")
    sink = torch.linspace(-4, 12, H_Q)
    sink[:3] = torch.tensor([torch.inf, -torch.inf, 0.0])
    length = torch.tensor([[0, 1, 65, 70]], dtype=torch.int32)
    for seed, sm_scale in enumerate((0.0, -0.3, 1.0)):
        few = dataclasses.replace(inputs, sm_scale=sm_scale, attn_sink=sink, topk_length=length)
        out, lse = attend(few, config, seed)
        assert torch.isneginf(lse[0, 0]).all()
        assert not out[0, 0].any()


@needs_compiler
@by_config
def test_the_bits_are_the_same_in_any_order_of_threads_and_copies(config):
    inputs = inputs_of({"s_kv": 260, "topk": 250}, "repeated_index")
    first, *others = (attend(inputs, config, seed) for seed in range(4))
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


@needs_compiler
def test_every_code_is_dequantized_as_the_cache_says():
    """One key a query: its value is the output. All codes but NaN, each group with a scale of its own that is no power of two; its
    24 bits make rounding of the product to bf16, once, show."""
    codes = torch.arange(256, dtype=torch.uint8).repeat(2)
    codes[(codes & 0x7F) == 0x7F] = 0
    scales = torch.tensor([[0.1, 1.0, 3.7e-3, 77.0]])
    token = pack_tokens(codes[None], scales, torch.zeros(1, 64))
    inputs = inputs_of({"s_kv": 16, "topk": 1})
    cache = torch.full((1, 16, 1, TOKEN_BYTES), 0xFF, dtype=torch.uint8)
    cache[0, 5, 0] = token[0]
    one = dataclasses.replace(
        inputs, kv_cache=cache, indices=torch.tensor([[[5]]], dtype=torch.int32), q=torch.zeros_like(inputs.q)
    )
    outputs = poisoned_outputs(OP, one)
    emulate(IMPLEMENTATION.plan(one, outputs, WHOLE))
    assert torch.equal(outputs[0][0, 0], dequantize_tokens(token)[:, :512].bfloat16().expand(H_Q, 512))


@pytest.mark.parametrize("h_q", [1, 16, 64, 65, 128])
@pytest.mark.parametrize(("b", "topk"), [(1, 1), (1, 2048), (128, 2048), (3, 100)])
def test_the_default_is_legal_and_there_are_few_configs(b, topk, h_q):
    axes = OP.complete_axes({"b": b, "topk": topk, "h_q": h_q})
    assert IMPLEMENTATION.constraint(IMPLEMENTATION.default_config(axes), axes) is None
    legal = sum(IMPLEMENTATION.constraint(config, axes) is None for config in IMPLEMENTATION.configs())
    assert legal == (12 if topk == 2048 else legal)
    assert legal >= 2


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"NUM_STAGES": 4}, "do not fit in shared memory"),
        ({"BLOCK_N": 32}, "no more ahead"),
        ({"NUM_SPLITS": 32}, "only 2 tiles of 64 keys"),
    ],
    ids=str,
)
def test_what_cannot_run_is_refused_in_words(config, reason):
    with pytest.raises(ValueError, match=reason):
        IMPLEMENTATION.check_config(config, OP.complete_axes({"topk": 100}))
