"""The contract of `quantize_index_cache`: axes, inputs, argument checks.

The cache is the op's output, written into where slots say; the rest of it stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dsabench.kernels.arguments import check_same_device, check_size, check_tensor
from dsabench.kernels.cache_rows.slots import (
    SLOT_DISTRIBUTIONS,
    UNUSED,
    blocks_for,
    check_aligned,
    draw_slots,
    slot_dtype,
)
from dsabench.kernels.cache_rows.values import VALUE_DISTRIBUTIONS, draw_rows
from dsabench.kernels.index_cache import BLOCK_TOKENS, HEAD_DIM, TOKEN_BYTES
from dsabench.kernels.op import Axes, Axis, Op, Outputs
from dsabench.kernels.quantize_index_cache.check import check
from dsabench.kernels.quantize_index_cache.cost import cost
from dsabench.kernels.quantize_index_cache.reference import reference, row_flops

MAX_ROWS = 1 << 24


@dataclass(frozen=True, eq=False)
class Inputs:
    """Key i goes to slot slots[i] of a cache uint8 [num_blocks, 64, 1, 132], in the layout of `kernels.index_cache`: of a block
    the codes of its 64 tokens first, then their scales.

    keys        bf16 [n, 128], quantized with one scale each
    slots       int64 or int32 [n], block · 64 + offset; a key whose slot is < 0 or >= num_blocks · 64 is skipped; the others are
                distinct
    num_blocks  of the cache
    ue8m0       scales are rounded up to powers of two
    """

    keys: torch.Tensor
    slots: torch.Tensor
    num_blocks: int
    ue8m0: bool


def inputs_of(keys: torch.Tensor, slots: torch.Tensor, cache: torch.Tensor, ue8m0: bool) -> Inputs:
    """The inputs of a call that writes into `cache`. Raises TypeError or ValueError naming the argument."""
    sizes: dict[str, int] = {}
    check_tensor("cache", cache, torch.uint8, ("num_blocks", BLOCK_TOKENS, 1, TOKEN_BYTES), sizes)
    check_tensor("keys", keys, torch.bfloat16, ("n", HEAD_DIM), sizes)
    check_same_device(keys=keys, cache=cache)
    check_aligned(cache=cache)
    return Inputs(keys, slots, sizes["num_blocks"], ue8m0)


def make_inputs(axes: Axes, distribution: str, seed: int, device: torch.device) -> Inputs:
    rows = axes["s_kv"]
    num_blocks = blocks_for(rows, BLOCK_TOKENS)
    keys = draw_rows(distribution, rows, HEAD_DIM, HEAD_DIM, torch.Generator().manual_seed(seed))
    slots = draw_slots(distribution, rows, num_blocks, BLOCK_TOKENS, np.random.default_rng(seed))
    return Inputs(keys.to(device), slots.to(device), num_blocks, bool(axes["ue8m0"]))


def empty_inputs(axes: Axes, device: torch.device) -> Inputs:
    """An `Inputs` of these axes with uninitialised tensors."""
    rows = axes["s_kv"]
    return Inputs(
        torch.empty((rows, HEAD_DIM), dtype=torch.bfloat16, device=device),
        torch.empty(rows, dtype=torch.int64, device=device),
        blocks_for(rows, BLOCK_TOKENS),
        bool(axes["ue8m0"]),
    )


def validate(inputs: Inputs) -> None:
    sizes: dict[str, int] = {}
    check_tensor("keys", inputs.keys, torch.bfloat16, ("n", HEAD_DIM), sizes)
    check_tensor("slots", inputs.slots, slot_dtype(inputs.slots), ("n",), sizes)
    check_same_device(keys=inputs.keys, slots=inputs.slots)
    check_size("keys: n (dim 0)", sizes["n"], 1, MAX_ROWS)
    check_size("cache: num_blocks (dim 0)", inputs.num_blocks, 1, 2**31 - 1)
    if not isinstance(inputs.ue8m0, bool):
        raise TypeError(f"ue8m0 must be a bool, got {type(inputs.ue8m0).__name__}")
    check_aligned(keys=inputs.keys)


def axes_of(inputs: Inputs) -> dict[str, int]:
    return {"s_kv": inputs.keys.shape[0], "ue8m0": int(inputs.ue8m0)}


def empty_outputs(inputs: Inputs) -> Outputs:
    """A cache whose slots are all unused."""
    shape = (inputs.num_blocks, BLOCK_TOKENS, 1, TOKEN_BYTES)
    return (torch.full(shape, UNUSED, dtype=torch.uint8, device=inputs.keys.device),)


OP = Op(
    name="quantize_index_cache",
    summary="bf16 indexer keys into slots of the 132-byte fp8 cache",
    axes=(
        Axis("s_kv", "tokens, a key each", 1, MAX_ROWS, 4096),
        Axis("ue8m0", "1: scales are powers of two", 0, 1, 0),
    ),
    distributions=SLOT_DISTRIBUTIONS | VALUE_DISTRIBUTIONS,
    output_names=("cache",),
    make_inputs=make_inputs,
    empty_inputs=empty_inputs,
    validate=validate,
    axes_of=axes_of,
    empty_outputs=empty_outputs,
    cost=cost,
    row_count=lambda inputs: inputs.keys.shape[0],
    row_flops=row_flops,
    reference=reference,
    check=check,
)
