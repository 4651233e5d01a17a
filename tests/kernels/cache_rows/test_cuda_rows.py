"""The CUDA C++ kernels of the caches' rows: their own text run on the CPU, bit for bit, and their plans and machine code."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch

from dsabench.kernels.cuda.compile import compile_launch
from dsabench.kernels.implementation import Config
from dsabench.kernels.registry import get_implementation, get_op
from dsabench.kernels.workload import Workload
from tests.kernels.emulated_cuda import emulate, needs_compiler
from tests.kernels.running import check_all_rows, poisoned_outputs

OPS = ("quantize_kv_cache", "quantize_index_cache", "dequantize_kv_cache")
CONFIGS: list[tuple[Config, int]] = [
    ({"THREADS": 128, "ROWS_A_WARP": 2, "VALUES": 8}, 0),
    ({"THREADS": 256, "ROWS_A_WARP": 1, "VALUES": 16}, 1),
]
"""With the axis ue8m0: both of every choice that makes other code. A kernel takes a second or two to compile for the CPU."""
by_config = pytest.mark.parametrize(("config", "ue8m0"), CONFIGS, ids=["rows", "vectors"])
by_op = pytest.mark.parametrize("op", OPS)


def make_inputs(op: str, distribution: str, rows: int, ue8m0: int) -> Any:
    axes = {"s_kv": rows, "page": 5, "ue8m0": ue8m0}
    known = {axis.name for axis in get_op(op).axes}
    return Workload.of(op, {k: v for k, v in axes.items() if k in known}, distribution, rows).make_inputs()


def with_slots(inputs: Any, config: Config) -> Any:
    """One config's slots are int32, the other's int64, whatever the distribution."""
    if config["VALUES"] == 8:
        return replace(inputs, slots=inputs.slots.long())
    return replace(inputs, slots=inputs.slots.clamp(-(2**31), 2**31 - 1).int())


@needs_compiler
@by_op
@by_config
def test_every_distribution_and_number_of_rows(op: str, config: Config, ue8m0: int) -> None:
    """Rows that fill no warp, no block, and more than one."""
    contract, plan = get_op(op), get_implementation(op, "cuda").plan
    assert plan is not None
    for number, distribution in enumerate(contract.distributions):
        for rows in (1, 7, 40) if distribution in ("normal", "padded") else (13,):
            inputs = with_slots(make_inputs(op, distribution, rows, ue8m0), config)
            outputs = poisoned_outputs(contract, inputs)
            emulate(plan(inputs, outputs, config), seed=number)
            verdict = check_all_rows(contract, inputs, outputs)
            assert verdict.passed, f"{distribution}, {rows} rows: {verdict.reason}"


@needs_compiler
def test_every_magnitude_of_a_bf16_over_many_scales() -> None:
    """Every bf16 is in some group, with an amax of its own size and with larger ones: the quotients are IEEE's."""
    contract, plan = get_op("quantize_index_cache"), get_implementation("quantize_index_cache", "cuda").plan
    assert plan is not None
    magnitudes = torch.arange(0x7F80, dtype=torch.int32)
    for stride in (1, 3, 255):  # all prime to the count: 128 magnitudes side by side, or over all exponents
        order = (torch.arange(0x7F80) * stride) % 0x7F80 if stride != 255 else torch.randperm(0x7F80)
        keys = magnitudes[order].to(torch.int16).view(torch.bfloat16).view(-1, 128)
        keys[::2] *= -1
        inputs = replace(
            make_inputs("quantize_index_cache", "normal", len(keys), 0), keys=keys, slots=torch.arange(len(keys))
        )
        outputs = poisoned_outputs(contract, inputs)
        emulate(plan(inputs, outputs, CONFIGS[0][0]))
        verdict = check_all_rows(contract, inputs, outputs)
        assert verdict.passed, verdict.reason


@needs_compiler
@by_op
def test_slots_beyond_four_gigabytes(op: str) -> None:
    """Memory that is never touched is never there: a cache of 5 GB of which three tokens are used."""
    contract, plan = get_op(op), get_implementation(op, "cuda").plan
    assert plan is not None
    config = CONFIGS[0][0]
    small = make_inputs(op, "normal", 3, 0)
    if op == "dequantize_kv_cache":
        cache, far = small.kv_cache, 5 * 2**30 // 656
        whole = torch.empty((far + 1, 1, 1, 656), dtype=torch.uint8)
        places = torch.tensor([far, far // 2, 7])
        whole[places] = cache.view(-1, 1, 1, 656)[small.slots]
        inputs = replace(small, kv_cache=whole, slots=places)
        outputs = poisoned_outputs(contract, inputs)
        emulate(plan(inputs, outputs, config))
        near = contract.reference(small, torch.arange(3))
        assert torch.equal(outputs[0].view(torch.int16), near[0].view(torch.int16))
        return
    page, width = (1, 656) if op == "quantize_kv_cache" else (64, 132)
    far = 5 * 2**30 // (page * width)
    places = torch.tensor([far * page + page - 1, far // 2 * page, 7])
    inputs = replace(small, num_blocks=far + 1, slots=places, **({"page": 1} if page == 1 else {}))
    whole = torch.empty((far + 1, page, 1, width), dtype=torch.uint8)
    emulate(plan(inputs, (whole,), config))
    outputs = poisoned_outputs(contract, small)
    emulate(plan(small, outputs, config))
    if op == "quantize_kv_cache":
        assert torch.equal(whole.view(-1, 656)[places], outputs[0].view(-1, 656)[small.slots])
        return
    for place, slot in zip(places.tolist(), small.slots.tolist(), strict=True):
        tokens = [blocks[at // 64].view(-1) for blocks, at in ((whole, place), (outputs[0], slot))]
        for first, size in ((0, 128), (8192, 4)):
            got, want = (
                token[first + at % 64 * size : first + at % 64 * size + size]
                for token, at in zip(tokens, (place, slot), strict=True)
            )
            assert torch.equal(got, want)


@by_op
def test_the_config_with_most_registers_does_not_spill(op: str) -> None:
    """The gate compiles all of them."""
    contract, implementation = get_op(op), get_implementation(op, "cuda")
    assert implementation.plan is not None
    inputs = contract.empty_inputs(contract.complete_axes({"s_kv": 4096}), torch.device("meta"))
    config = {"THREADS": 256, "ROWS_A_WARP": 2, "VALUES": 16}
    (launch,) = implementation.plan(inputs, contract.empty_outputs(inputs), config)
    log = compile_launch(launch).log
    assert "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads" in log
    found = re.search(r"Used (\d+) registers", log)
    assert found is not None
    assert int(found[1]) <= 64
    assert launch.shared_bytes == 0


@by_op
def test_a_plan_covers_every_row_once(op: str) -> None:
    contract, implementation = get_op(op), get_implementation(op, "cuda")
    assert implementation.plan is not None
    for rows in (1, 4096, 65537):
        inputs = contract.empty_inputs(contract.complete_axes({"s_kv": rows}), torch.device("meta"))
        outputs = contract.empty_outputs(inputs)
        for config in implementation.configs():
            (launch,) = implementation.plan(inputs, outputs, config)
            keys = 32 * int(config["VALUES"]) // 128 if op == "quantize_index_cache" else 1
            block_rows = int(config["THREADS"]) // 32 * int(config["ROWS_A_WARP"]) * keys
            assert (launch.grid[0] - 1) * block_rows < rows <= launch.grid[0] * block_rows
            assert launch.constants["SLOT_BYTES"] == 8
        legal = [c for c in implementation.configs() if implementation.constraint(c, contract.axes_of(inputs)) is None]
        assert len(legal) == (6 if rows == 1 else 12)
