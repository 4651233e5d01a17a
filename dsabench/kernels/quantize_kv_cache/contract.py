"""The contract of `quantize_kv_cache`: axes, inputs, argument checks.

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
from dsabench.kernels.kv_cache import D_QK, GROUP, TOKEN_BYTES
from dsabench.kernels.op import Axes, Axis, Op, Outputs
from dsabench.kernels.quantize_kv_cache.check import check
from dsabench.kernels.quantize_kv_cache.cost import cost
from dsabench.kernels.quantize_kv_cache.reference import reference, row_flops

MAX_ROWS = 1 << 24


@dataclass(frozen=True, eq=False)
class Inputs:
    """Row i goes to slot slots[i] of a cache uint8 [num_blocks, page, 1, 656], in the layout of `kernels.kv_cache`.

    kv          bf16 [n, 576]: 512 latent dims, quantized in groups of 128, and 64 rope dims, copied
    slots       int64 or int32 [n], block · page + offset; a row whose slot is < 0 or >= num_blocks · page is skipped; the others
                are distinct
    num_blocks, page  of the cache
    ue8m0       scales are rounded up to powers of two
    """

    kv: torch.Tensor
    slots: torch.Tensor
    num_blocks: int
    page: int
    ue8m0: bool


def inputs_of(kv: torch.Tensor, slots: torch.Tensor, kv_cache: torch.Tensor, ue8m0: bool) -> Inputs:
    """The inputs of a call that writes into `kv_cache`. Raises TypeError or ValueError naming the argument."""
    sizes: dict[str, int] = {}
    check_tensor("kv_cache", kv_cache, torch.uint8, ("num_blocks", "page", 1, TOKEN_BYTES), sizes)
    check_tensor("kv", kv, torch.bfloat16, ("n", D_QK), sizes)
    check_same_device(kv=kv, kv_cache=kv_cache)
    check_aligned(kv_cache=kv_cache)
    return Inputs(kv, slots, sizes["num_blocks"], sizes["page"], ue8m0)


def make_inputs(axes: Axes, distribution: str, seed: int, device: torch.device) -> Inputs:
    rows, page = axes["s_kv"], axes["page"]
    num_blocks = blocks_for(rows, page)
    kv = draw_rows(distribution, rows, D_QK, GROUP, torch.Generator().manual_seed(seed))
    slots = draw_slots(distribution, rows, num_blocks, page, np.random.default_rng(seed))
    return Inputs(kv.to(device), slots.to(device), num_blocks, page, bool(axes["ue8m0"]))


def empty_inputs(axes: Axes, device: torch.device) -> Inputs:
    """An `Inputs` of these axes with uninitialised tensors."""
    rows, page = axes["s_kv"], axes["page"]
    return Inputs(
        torch.empty((rows, D_QK), dtype=torch.bfloat16, device=device),
        torch.empty(rows, dtype=torch.int64, device=device),
        blocks_for(rows, page),
        page,
        bool(axes["ue8m0"]),
    )


def validate(inputs: Inputs) -> None:
    sizes: dict[str, int] = {}
    check_tensor("kv", inputs.kv, torch.bfloat16, ("n", D_QK), sizes)
    check_tensor("slots", inputs.slots, slot_dtype(inputs.slots), ("n",), sizes)
    check_same_device(kv=inputs.kv, slots=inputs.slots)
    check_size("kv: n (dim 0)", sizes["n"], 1, MAX_ROWS)
    check_size("kv_cache: num_blocks (dim 0)", inputs.num_blocks, 1, 2**31 - 1)
    check_size("kv_cache: page (dim 1)", inputs.page, 1, 2**31 - 1)
    if not isinstance(inputs.ue8m0, bool):
        raise TypeError(f"ue8m0 must be a bool, got {type(inputs.ue8m0).__name__}")
    check_aligned(kv=inputs.kv)


def axes_of(inputs: Inputs) -> dict[str, int]:
    return {"s_kv": inputs.kv.shape[0], "page": inputs.page, "ue8m0": int(inputs.ue8m0)}


def empty_outputs(inputs: Inputs) -> Outputs:
    """A cache whose slots are all unused."""
    shape = (inputs.num_blocks, inputs.page, 1, TOKEN_BYTES)
    return (torch.full(shape, UNUSED, dtype=torch.uint8, device=inputs.kv.device),)


OP = Op(
    name="quantize_kv_cache",
    summary="bf16 latent and rope rows into slots of the 656-byte fp8 cache",
    axes=(
        Axis("s_kv", "tokens, a row each", 1, MAX_ROWS, 4096),
        Axis("page", "tokens per block of the cache", 1, 1 << 16, 64),
        Axis("ue8m0", "1: scales are powers of two", 0, 1, 0),
    ),
    distributions=SLOT_DISTRIBUTIONS | VALUE_DISTRIBUTIONS,
    output_names=("kv_cache",),
    make_inputs=make_inputs,
    empty_inputs=empty_inputs,
    validate=validate,
    axes_of=axes_of,
    empty_outputs=empty_outputs,
    cost=cost,
    row_count=lambda inputs: inputs.kv.shape[0],
    row_flops=row_flops,
    reference=reference,
    check=check,
)
