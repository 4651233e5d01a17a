"""The contract of `paged_indexer_logits` (REFERENCE §2): axes, inputs, argument checks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dsabench.kernels.arguments import check_integer, check_same_device, check_size, check_tensor
from dsabench.kernels.index_cache import BLOCK_BYTES, BLOCK_TOKENS, TOKEN_BYTES, fill_unused, key_codes, key_scales
from dsabench.kernels.index_data import HEAD_DIM, HEADS, VALUE_DISTRIBUTIONS, plant_nan_codes, random_index_data
from dsabench.kernels.indexer_logits.contract import MAX_CONTEXT, check_heads, check_values_in
from dsabench.kernels.op import Axes, Axis, Op, Outputs
from dsabench.kernels.paged_indexer_logits.check import check
from dsabench.kernels.paged_indexer_logits.cost import cost
from dsabench.kernels.paged_indexer_logits.reference import reference, row_flops

MAX_BATCH = 65536
MAX_NEXT_N = 64

DISTRIBUTIONS = VALUE_DISTRIBUTIONS | {
    "ragged": "a length of its own for every sequence, 0, 1 and the neighbours of a block's end among them",
    "shared_prefix": "the first half of every sequence stands in the same blocks",
    "far_blocks": "the blocks in use stand more than 2^31 bytes into the cache; those before them are never touched",
}

_SPARE_BLOCKS = 3  # allocated, in no table; all NaN
_DEAD_ENTRIES = 2  # columns of the table past every sequence's end; garbage


@dataclass(frozen=True, eq=False)
class Inputs:
    """Row i·next_n + j of the logits scores the first context_lens[i, j] tokens of sequence i; -inf from there on.

    q                float8_e4m3fn [b, next_n, h, 128]; h is 8, 16, 32 or 64
    k_cache          uint8 [num_blocks, 64, 1, 132]; a block holds 64×128 key bytes, then 64 float32 scales
    weights          float32 [b·next_n, h], any sign
    context_lens     int32 [b, next_n], in [0, max_context_len]
    block_table      int32 [b, max_blocks]: token s of sequence i stands in block block_table[i, s // 64], slot s % 64;
                     entries past a sequence's last block may hold anything and are never read
    max_context_len  columns of the output
    """

    q: torch.Tensor
    k_cache: torch.Tensor
    weights: torch.Tensor
    context_lens: torch.Tensor
    block_table: torch.Tensor
    max_context_len: int


def make_inputs(axes: Axes, distribution: str, seed: int, device: torch.device) -> Inputs:
    """In every distribution the blocks are shuffled, slots that hold no token are NaN and dead table entries garbage."""
    b, next_n, s_kv, h = axes["b"], axes["next_n"], axes["s_kv"], axes["h"]
    generator = torch.Generator().manual_seed(seed)
    lens = torch.full((b,), s_kv)
    if distribution == "ragged":
        lens = torch.randint(0, s_kv + 1, (b,), generator=generator)
        edges = torch.tensor([s_kv, 0, 1, 63, 64, 65]).clamp_max(s_kv)
        lens[: len(edges)] = edges[:b]
    # The j-th of next_n drafted tokens sees all but the ones after it.
    context_lens = (lens[:, None] - torch.arange(next_n - 1, -1, -1)).clamp_min(0).to(torch.int32)
    table, used = _block_table(lens, distribution == "shared_prefix", generator)
    data = random_index_data(b * next_n, used * BLOCK_TOKENS, h, distribution, generator)
    if distribution == "far_blocks":
        cache = _far_cache(used)
        table += cache.shape[0] - used - _SPARE_BLOCKS
    else:
        cache = torch.empty((used + _SPARE_BLOCKS, BLOCK_TOKENS, 1, TOKEN_BYTES), dtype=torch.uint8)
    first = cache.shape[0] - used - _SPARE_BLOCKS
    occupied = cache[first : first + used]
    key_codes(occupied).copy_(data.k.view(used, BLOCK_TOKENS, HEAD_DIM))
    key_scales(occupied).copy_(data.k_scale.view(used, BLOCK_TOKENS))
    fill_unused(cache[first + used :])
    ends = [(i, int(n)) for i, n in enumerate(lens) if int(n) % BLOCK_TOKENS]
    for i, n in ends:  # the slots of a last block that hold no token
        block = int(table[i, n // BLOCK_TOKENS])
        key_codes(cache).view(torch.uint8)[block, n % BLOCK_TOKENS :] = 0xFF
        key_scales(cache)[block, n % BLOCK_TOKENS :] = torch.nan
    if distribution == "nan_key":
        for i in range(b):
            seen = int(context_lens[i, 0])
            for token in sorted({0, seen // 2}) if seen else []:
                slot = key_codes(cache)[int(table[i, token // BLOCK_TOKENS]), token % BLOCK_TOKENS]
                plant_nan_codes(slot[None], [0])
    return Inputs(
        data.q.view(b, next_n, h, HEAD_DIM).to(device),
        cache.to(device),
        data.weights.to(device),
        context_lens.to(device),
        table.to(torch.int32).to(device),
        s_kv,
    )


def _block_table(lens: torch.Tensor, share: bool, generator: torch.Generator) -> tuple[torch.Tensor, int]:
    """(int64 [b, max_blocks], number of blocks in use): shuffled physical blocks, garbage past each sequence's end."""
    blocks = -(-lens // BLOCK_TOKENS)
    width = int(blocks.max()) + _DEAD_ENTRIES
    garbage = torch.tensor([-1, 2**31 - 1, -(2**31), 123456789])
    table = garbage[torch.randint(0, len(garbage), (len(lens), width), generator=generator)]
    live = torch.arange(width) < blocks[:, None]
    number = torch.cumsum(live.flatten(), 0).view_as(table) - 1
    if share:
        # Only whole blocks in the first half of every sequence: a block shared and appended to would be two blocks.
        common = int(lens.min()) // 2 // BLOCK_TOKENS
        number[:, :common] = torch.arange(common)
        _, renumbered = number[live].unique(return_inverse=True)
        number[live] = renumbered
    used = int(number[live].max()) + 1 if bool(live.any()) else 0
    order = torch.randperm(max(used, 1), generator=generator)
    table[live] = order[number[live]]
    return table, used


def _far_cache(used: int) -> torch.Tensor:
    # numpy's zeros are pages that the system maps at the first touch: two GB that cost nothing until a kernel errs.
    far = 2**31 // BLOCK_BYTES + 1
    return torch.from_numpy(np.zeros((far + used + _SPARE_BLOCKS, BLOCK_TOKENS, 1, TOKEN_BYTES), dtype=np.uint8))


def empty_inputs(axes: Axes, device: torch.device) -> Inputs:
    """An `Inputs` of these axes with uninitialised tensors."""
    b, next_n, s_kv, h = axes["b"], axes["next_n"], axes["s_kv"], axes["h"]
    blocks = -(-s_kv // BLOCK_TOKENS)
    return Inputs(
        torch.empty((b, next_n, h, HEAD_DIM), dtype=torch.float8_e4m3fn, device=device),
        torch.empty((b * blocks, BLOCK_TOKENS, 1, TOKEN_BYTES), dtype=torch.uint8, device=device),
        torch.empty((b * next_n, h), dtype=torch.float32, device=device),
        torch.empty((b, next_n), dtype=torch.int32, device=device),
        torch.empty((b, blocks), dtype=torch.int32, device=device),
        s_kv,
    )


def validate(inputs: Inputs) -> None:
    sizes: dict[str, int] = {}
    check_tensor("q", inputs.q, torch.float8_e4m3fn, ("b", "next_n", "h", HEAD_DIM), sizes)
    check_tensor("k_cache", inputs.k_cache, torch.uint8, ("num_blocks", BLOCK_TOKENS, 1, TOKEN_BYTES), sizes)
    check_size("q: b (dim 0)", sizes["b"], 1, MAX_BATCH)
    check_size("q: next_n (dim 1)", sizes["next_n"], 1, MAX_NEXT_N)
    check_heads("q", sizes["h"])
    check_tensor("weights", inputs.weights, torch.float32, (sizes["b"] * sizes["next_n"], "h"), sizes)
    check_tensor("context_lens", inputs.context_lens, torch.int32, ("b", "next_n"), sizes)
    check_tensor("block_table", inputs.block_table, torch.int32, ("b", "max_blocks"), sizes)
    check_same_device(
        q=inputs.q,
        k_cache=inputs.k_cache,
        weights=inputs.weights,
        context_lens=inputs.context_lens,
        block_table=inputs.block_table,
    )
    check_integer("max_context_len", inputs.max_context_len, 1, MAX_CONTEXT)
    capacity = sizes["max_blocks"] * BLOCK_TOKENS
    if capacity < inputs.max_context_len:
        raise ValueError(
            f"block_table has {sizes['max_blocks']} blocks a sequence, enough for {capacity} tokens; "
            f"max_context_len = {inputs.max_context_len} needs {-(-inputs.max_context_len // BLOCK_TOKENS)}"
        )
    check_values_in("context_lens", inputs.context_lens, 0, inputs.max_context_len)


def axes_of(inputs: Inputs) -> dict[str, int]:
    b, next_n, h = inputs.q.shape[:3]
    return {"b": b, "next_n": next_n, "s_kv": inputs.max_context_len, "h": h}


def empty_outputs(inputs: Inputs) -> Outputs:
    shape = (inputs.weights.shape[0], inputs.max_context_len)
    return (torch.empty(shape, dtype=torch.float32, device=inputs.q.device),)


OP = Op(
    name="paged_indexer_logits",
    summary="the lightning indexer's FP8 scores over a paged cache of 132 bytes a token (decode)",
    axes=(
        Axis("b", "sequences", 1, MAX_BATCH, 1),
        Axis("next_n", "query tokens a sequence (multi-token prediction)", 1, MAX_NEXT_N, 1),
        Axis("s_kv", "longest context, tokens", 1, MAX_CONTEXT, 65536),
        Axis("h", "indexer heads: 8, 16, 32 or 64", min(HEADS), max(HEADS), 64),
    ),
    distributions=DISTRIBUTIONS,
    output_names=("logits",),
    make_inputs=make_inputs,
    empty_inputs=empty_inputs,
    validate=validate,
    axes_of=axes_of,
    empty_outputs=empty_outputs,
    cost=cost,
    row_count=lambda inputs: inputs.weights.shape[0],
    row_flops=row_flops,
    reference=reference,
    check=check,
)
