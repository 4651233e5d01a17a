"""The CUDA C++ kernel: its own text run on the CPU by `cuda_emulator`, one config compiled for sm_90a, and its plans.

A combination of constants takes the emulation seconds to compile, a small call milliseconds: many inputs, few configs."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from dsabench.autotune.inspect.disassemble import disassemble, kernel_code
from dsabench.autotune.inspect.toolchain import find_toolchain
from dsabench.kernels.cuda.compile import compile_launch
from dsabench.kernels.cuda.source import CudaLaunch
from dsabench.kernels.implementation import Config
from dsabench.kernels.kv_cache import TOKEN_BYTES, dequantize_tokens, pack_tokens
from dsabench.kernels.op import Outputs
from dsabench.kernels.sparse_mla_decode.contract import OP, Inputs
from dsabench.kernels.sparse_mla_decode.impl_cuda import IMPLEMENTATION
from dsabench.kernels.workload import Workload
from tests.kernels.emulated_cuda import emulate, needs_compiler
from tests.kernels.running import check_all_rows, poisoned_outputs

# Each choice of each tunable, with splits and without.
ALONE = {"CLUSTER": 1, "GATHERS": 2, "Q_PANELS": 2, "NUM_SPLITS": 1}
ALONE_SPLIT = {"CLUSTER": 1, "GATHERS": 4, "Q_PANELS": 0, "NUM_SPLITS": 2}
PAIR = {"CLUSTER": 2, "GATHERS": 2, "Q_PANELS": 0, "NUM_SPLITS": 1}
PAIR_SPLIT = {"CLUSTER": 2, "GATHERS": 2, "Q_PANELS": 2, "NUM_SPLITS": 2}
SMALL = {"b": 1, "s_q": 3, "s_kv": 150, "h_q": 8, "topk": 100, "page": 16}


def inputs_of(axes: dict[str, int], distribution: str = "normal", seed: int = 5) -> Inputs:
    return Workload.of(OP.name, axes, distribution, seed).make_inputs()


def run(inputs: Inputs, config: Config, seed: int = 0, races: bool = False) -> Outputs:
    outputs = poisoned_outputs(OP, inputs)
    full = IMPLEMENTATION.check_config(config, OP.axes_of(inputs))
    emulate(IMPLEMENTATION.plan(inputs, outputs, full), seed, races)
    return outputs


def attend(inputs: Inputs, config: Config, seed: int = 0, races: bool = False) -> Outputs:
    """Checked on every row."""
    outputs = run(inputs, config, seed, races)
    verdict = check_all_rows(OP, inputs, outputs)
    assert verdict.passed, verdict.reason
    return outputs


@needs_compiler
@pytest.mark.parametrize("distribution", OP.distributions)
def test_every_distribution_passes_the_check(distribution):
    seed = len(distribution)
    attend(inputs_of(SMALL, distribution), ALONE, seed)
    attend(inputs_of({**SMALL, "h_q": 72}, distribution), PAIR_SPLIT, seed)


@needs_compiler
@pytest.mark.parametrize(
    "axes",
    [
        {"b": 1, "s_q": 1, "s_kv": 1, "h_q": 1, "topk": 1, "page": 1},
        {"b": 2, "s_q": 1, "s_kv": 70, "h_q": 16, "topk": 63, "page": 53},
        {"b": 1, "s_q": 1, "s_kv": 130, "h_q": 64, "topk": 65, "page": 2},
        {"b": 1, "s_q": 2, "s_kv": 300, "h_q": 65, "topk": 256, "page": 64},
        {"b": 1, "s_q": 1, "s_kv": 400, "h_q": 128, "topk": 390, "page": 61},
    ],
    ids=str,
)
def test_awkward_shapes_pass_the_check(axes):
    inputs = inputs_of(axes, "valid_after_padding")
    configs = [ALONE, {**ALONE_SPLIT, "NUM_SPLITS": 8}, PAIR, {**PAIR_SPLIT, "NUM_SPLITS": 4}]
    legal = [config for config in configs if IMPLEMENTATION.constraint(config, OP.axes_of(inputs)) is None]
    for config in legal:
        attend(inputs, config)
    assert legal


@needs_compiler
@pytest.mark.parametrize("config", [ALONE, PAIR], ids=["alone", "pair"])
def test_whatever_the_order_of_threads_and_copies_the_bits_are_the_same(config):
    inputs = inputs_of({"b": 1, "s_q": 1, "s_kv": 400, "h_q": 80, "topk": 330, "page": 16}, "repeated_index")
    first, *others = (attend(inputs, config, seed) for seed in range(6))
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))


@needs_compiler
@pytest.mark.parametrize("config", [ALONE, ALONE_SPLIT, PAIR_SPLIT], ids=["alone", "alone, split", "pair, split"])
def test_nothing_races(config):
    """Each choice of each tunable; rings that turn more than twice, in the second splits too."""
    axes = {"b": 1, "s_q": 1, "s_kv": 700, "h_q": 72, "topk": 600, "page": 16}
    attend(inputs_of(axes, "valid_after_padding"), config, seed=1, races=True)


@needs_compiler
def test_splits_beyond_the_entries_are_empty():
    inputs = inputs_of({**SMALL, "topk": 150, "h_q": 72})
    inputs = dataclasses.replace(inputs, topk_length=torch.tensor([[0, 1, 65]], dtype=torch.int32))
    for config in (ALONE_SPLIT, PAIR_SPLIT):
        out, lse = attend(inputs, config)
        assert torch.isneginf(lse[0, 0]).all()
        assert not out[0, 0].any()


@needs_compiler
@pytest.mark.parametrize("config", [ALONE, ALONE_SPLIT], ids=["one split", "two"])
def test_sink_and_length_together(config):
    inputs = inputs_of({"b": 2, "s_q": 1, "s_kv": 140, "h_q": 8, "topk": 128, "page": 16}, "topk_length")
    sink = torch.tensor([0.0, -torch.inf, torch.inf, 3.0, 5.0, 6.0, -2.0, 4.0])
    attend(dataclasses.replace(inputs, attn_sink=sink), config)


@needs_compiler
@pytest.mark.parametrize("sm_scale", [0.0, -0.3, 8.0])
def test_any_finite_scale(sm_scale):
    inputs = dataclasses.replace(inputs_of(SMALL), sm_scale=sm_scale)
    attend(inputs, ALONE)
    attend(inputs, ALONE_SPLIT)


@needs_compiler
def test_rising_maxima_rescale_what_was_summed():
    """Keys in the order of their scores: each tile's are far above the last one's, in one row; in another far below."""
    axes = {"b": 1, "s_q": 1, "s_kv": 320, "h_q": 8, "topk": 320, "page": 16}
    inputs = inputs_of(axes, "peaked")
    keys = dequantize_tokens(inputs.kv_cache.flatten(0, 2)[inputs.indices[0, 0].long()])
    order = (keys @ inputs.q[0, 0, 0].float()).argsort()
    attend(dataclasses.replace(inputs, indices=inputs.indices[:, :, order].contiguous()), ALONE)


def one_token(scales: torch.Tensor) -> Inputs:
    """Queries of zeros over one token each, of all finite codes: the output is the token as it was dequantized."""
    finite = torch.tensor([code for code in range(256) if code & 0x7F != 0x7F], dtype=torch.uint8)
    n = len(scales)
    codes = finite[torch.randint(0, 254, (n, 512), generator=torch.Generator().manual_seed(1))]
    codes[:, :254] = finite
    cache = pack_tokens(codes, scales, torch.zeros(n, 64))
    q = torch.zeros(n, 1, 1, 576, dtype=torch.bfloat16)
    return Inputs(q, cache.view(n, 1, 1, TOKEN_BYTES), torch.arange(n, dtype=torch.int32).view(n, 1, 1), 1.0)


@needs_compiler
def test_codes_times_scales_are_rounded_once():
    """Scales from 1e-30 to 1e33, both sides of where they are split otherwise. Exact where the scale has few bits; else the
    product with 17 bits of it may round to the other neighbour where both are as near."""
    generator = torch.Generator().manual_seed(2)
    scales = torch.exp(torch.empty(12, 4).uniform_(-69, 76, generator=generator))
    scales[0] = torch.tensor([127.9, 128.0, 255.9, 1e-4])
    short = (scales.view(torch.int32) & ~((1 << 20) - 1)).view(torch.float32)
    for given, allowed in ((scales, 0.004), (short, 0.0)):
        inputs = one_token(given)
        out = run(inputs, ALONE)[0].flatten(0, 2)
        expected = dequantize_tokens(inputs.kv_cache.flatten(0, 2), torch.float64)[:, :512].to(torch.bfloat16)
        apart = (out.view(torch.int16).int() - expected.view(torch.int16).int()).abs()
        apart[(out == 0) & (expected == 0)] = 0  # of either sign
        assert apart.max() <= (1 if allowed else 0)
        assert (apart > 0).float().mean() <= allowed


@needs_compiler
def test_offsets_beyond_two_gigabytes():
    inputs = inputs_of({"b": 1, "s_q": 1, "s_kv": 20, "h_q": 4, "topk": 16, "page": 1})
    slots = 2**31 // TOKEN_BYTES + 40  # reserved, not touched
    cache = torch.empty((slots, 1, 1, TOKEN_BYTES), dtype=torch.uint8)
    cache[-20:] = inputs.kv_cache
    attend(dataclasses.replace(inputs, kv_cache=cache, indices=inputs.indices + slots - 20), ALONE)


def planned(config: Config, h_q: int) -> list[CudaLaunch]:
    inputs = OP.empty_inputs(OP.complete_axes({"h_q": h_q, "topk": 256}), torch.device("meta"))
    return list(IMPLEMENTATION.plan(inputs, OP.empty_outputs(inputs), config))


def test_the_main_loop_is_wgmma_with_each_product_once():
    """Of the config with the most parts. The gate compiles all of the space."""
    (launch, _) = planned(PAIR_SPLIT, 128)
    kernel = compile_launch(launch)
    nvdisasm = find_toolchain().paths["nvdisasm"]
    (code,) = disassemble([kernel_code(kernel.cubin, kernel.entry)], "sm_90a", str(nvdisasm), 60)
    assert "C75" not in kernel.log, kernel.log  # C7510 … C7512: wgmma serialized
    families = code.whole.families
    assert families["LDL"] + families["STL"] + families["HMMA"] == 0
    assert launch.shared_bytes <= 227 * 1024
    assert code.loop is not None
    assert code.loop.products == {"HGMMA.64x64x16.F32.BF16": 36, "HGMMA.64x256x16.F32.BF16": 4}
    registers = [launch.constants[f"{who}_REGISTERS"] for who in ("FIRST", "SECOND", "PRODUCER")]
    assert 128 * sum(registers) <= 65536


@pytest.mark.parametrize("h_q", [1, 8, 64, 65, 128])
@pytest.mark.parametrize("topk", [1, 64, 100, 2048])
@pytest.mark.parametrize("b", [1, 74, 4000])
def test_the_default_is_legal_and_there_are_few_configs(h_q, topk, b):
    axes = OP.complete_axes({"b": b, "h_q": h_q, "topk": topk})
    assert IMPLEMENTATION.constraint(IMPLEMENTATION.default_config(axes), axes) is None
    assert 3 <= sum(IMPLEMENTATION.constraint(config, axes) is None for config in IMPLEMENTATION.configs()) <= 30


def test_the_default_splits_fill_the_gpu_and_no_more():
    splits = {
        b: IMPLEMENTATION.default_config(OP.complete_axes({"b": b, "s_q": 2, "h_q": 128}))["NUM_SPLITS"]
        for b in (2, 64, 74, 128)
    }
    assert splits == {2: 16, 64: 1, 74: 2, 128: 1}


@pytest.mark.parametrize(
    ("config", "h_q", "reason"),
    [
        ({"NUM_SPLITS": 4}, 128, "only 2 tiles"),
        (PAIR, 64, "no second"),
        ({**PAIR, "GATHERS": 4}, 128, "half a tile"),
        ({**ALONE, "GATHERS": 4}, 128, "registers of a producer"),
    ],
    ids=["splits", "pair", "gathers", "registers"],
)
def test_what_cannot_run_is_refused_in_words(config, h_q, reason):
    with pytest.raises(ValueError, match=reason):
        IMPLEMENTATION.check_config(config, OP.complete_axes({"topk": 128, "h_q": h_q}))
