"""The contract of `dequantize_kv_cache`: axes, inputs, argument checks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dsabench.kernels.arguments import check_same_device, check_size, check_tensor
from dsabench.kernels.cache_rows.slots import (
    SLOT_DISTRIBUTIONS,
    blocks_for,
    check_aligned,
    draw_slots,
    slot_dtype,
)
from dsabench.kernels.cache_rows.values import draw_rows
from dsabench.kernels.dequantize_kv_cache.check import check
from dsabench.kernels.dequantize_kv_cache.cost import cost
from dsabench.kernels.dequantize_kv_cache.reference import reference, row_flops
from dsabench.kernels.kv_cache import D_QK, GROUP, TOKEN_BYTES, quantize_tokens
from dsabench.kernels.op import Axes, Axis, Op, Outputs

MAX_ROWS = 1 << 24

DISTRIBUTIONS = SLOT_DISTRIBUTIONS | {
    "repeated": "at most 7 different slots, which many rows read",
    "ue8m0": "scales are powers of two: products are exact in bf16",
    "any_bytes": "every byte at random: NaN codes, scales and rope of any bits",
}
"""Slots that no row names hold 0xff: NaN as code, scale and rope."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Row i of the output is the token in slot slots[i], dequantized; zeros where that is no slot.

    kv_cache  uint8 [num_blocks, page, 1, 656], the layout of `kernels.kv_cache`
    slots     int64 or int32 [n], block · page + offset; < 0 or >= num_blocks · page is no slot; may repeat
    """

    kv_cache: torch.Tensor
    slots: torch.Tensor


def make_inputs(axes: Axes, distribution: str, seed: int, device: torch.device) -> Inputs:
    rows, page = axes["s_kv"], axes["page"]
    num_blocks = blocks_for(rows, page)
    generator = torch.Generator().manual_seed(seed)
    cache = torch.full((num_blocks * page, TOKEN_BYTES), 0xFF, dtype=torch.uint8)
    slots = draw_slots(distribution, rows, num_blocks, page, np.random.default_rng(seed))
    if distribution == "repeated":
        slots = slots[:7][torch.randint(0, min(7, rows), (rows,), generator=generator)]
    named = slots[(slots >= 0) & (slots < len(cache))].unique().long()
    if distribution == "any_bytes":
        cache[named] = torch.randint(0, 256, (len(named), TOKEN_BYTES), dtype=torch.uint8, generator=generator)
    else:
        tokens = quantize_tokens(draw_rows("normal", len(named), D_QK, GROUP, generator), distribution == "ue8m0")
        cache[named] = tokens
    return Inputs(cache.view(num_blocks, page, 1, TOKEN_BYTES).to(device), slots.to(device))


def empty_inputs(axes: Axes, device: torch.device) -> Inputs:
    """An `Inputs` of these axes with uninitialised tensors."""
    rows, page = axes["s_kv"], axes["page"]
    return Inputs(
        torch.empty((blocks_for(rows, page), page, 1, TOKEN_BYTES), dtype=torch.uint8, device=device),
        torch.empty(rows, dtype=torch.int64, device=device),
    )


def validate(inputs: Inputs) -> None:
    sizes: dict[str, int] = {}
    check_tensor("kv_cache", inputs.kv_cache, torch.uint8, ("num_blocks", "page", 1, TOKEN_BYTES), sizes)
    check_tensor("slots", inputs.slots, slot_dtype(inputs.slots), ("n",), sizes)
    check_same_device(kv_cache=inputs.kv_cache, slots=inputs.slots)
    check_size("slots: n (dim 0)", sizes["n"], 1, MAX_ROWS)
    check_size("kv_cache: num_blocks (dim 0)", sizes["num_blocks"], 1, 2**31 - 1)
    check_size("kv_cache: page (dim 1)", sizes["page"], 1, 2**31 - 1)
    check_aligned(kv_cache=inputs.kv_cache)


def axes_of(inputs: Inputs) -> dict[str, int]:
    return {"s_kv": inputs.slots.shape[0], "page": inputs.kv_cache.shape[1]}


def empty_outputs(inputs: Inputs) -> Outputs:
    shape = (inputs.slots.shape[0], D_QK)
    return (torch.empty(shape, dtype=torch.bfloat16, device=inputs.kv_cache.device),)


OP = Op(
    name="dequantize_kv_cache",
    summary="tokens of the 656-byte fp8 cache gathered by slot into bf16 rows",
    axes=(
        Axis("s_kv", "tokens, a row each", 1, MAX_ROWS, 4096),
        Axis("page", "tokens per block of the cache", 1, 1 << 16, 64),
    ),
    distributions=DISTRIBUTIONS,
    output_names=("kv",),
    make_inputs=make_inputs,
    empty_inputs=empty_inputs,
    validate=validate,
    axes_of=axes_of,
    empty_outputs=empty_outputs,
    cost=cost,
    row_count=lambda inputs: inputs.slots.shape[0],
    row_flops=row_flops,
    reference=reference,
    check=check,
)
