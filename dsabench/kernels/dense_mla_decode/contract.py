"""Contract of `dense_mla_decode` (REFERENCE §2): axes, inputs and argument checks.

    out[i, t, h] = Σ_j p_j · kv[j, :512],  p = softmax over the keys j < n(i, t) of sm_scale · q[i, t, h] · kv[j]
    lse[i, t, h] = ln Σ_j exp(sm_scale · q[i, t, h] · kv[j])

kv[j] of sequence i is kv_cache[block_table[i, j // page], j % page]; n(i, t) = cache_seqlens[i], with causal
cache_seqlens[i] − (s_q − 1 − t). A query that sees no key gives out = 0 and lse = -inf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dsabench.kernels import arguments
from dsabench.kernels import attention_inputs as generate
from dsabench.kernels.attention_arguments import check_index_range
from dsabench.kernels.dense_mla_decode.check import check
from dsabench.kernels.dense_mla_decode.cost import cost
from dsabench.kernels.dense_mla_decode.reference import reference, row_flops
from dsabench.kernels.kv_cache import sequence_slots
from dsabench.kernels.op import Axes, Axis, Op, Outputs


@dataclass(frozen=True)
class Inputs:
    """q [b, s_q, h_q, 576] bf16; kv_cache [num_blocks, page, 1, 576] bf16, first 512 dims are V; block_table
    [b, max_blocks] int32, entries past a sequence's last block may hold anything; cache_seqlens [b] int32; causal: query
    t of s_q sees the first cache_seqlens − (s_q − 1 − t) keys."""

    q: torch.Tensor
    kv_cache: torch.Tensor
    block_table: torch.Tensor
    cache_seqlens: torch.Tensor
    sm_scale: float
    causal: bool = False


AXES = (
    Axis("b", "sequences", 1, 1 << 16, 1),
    Axis("s_q", "query tokens per sequence, the last of its context", 1, 1 << 12, 1),
    Axis("s_kv", "context length of the longest sequence", 1, 1 << 24, 4096),
    Axis("h_q", "query heads (128, or 64 … 8 under tensor parallelism)", 1, 128, 128),
    Axis("page", "tokens per block of the cache", 1, 1 << 16, 64),
    Axis("causal", "1: earlier queries of s_q see fewer keys", 0, 1, 0),
)

DISTRIBUTIONS = {
    **generate.VALUE_DISTRIBUTIONS,
    "rising": "scores climb by about 17 along the context: every tile raises the running maximum",
    "ragged": "lengths from 0 to s_kv, both ends included where there are two sequences",
    "empty": "every sequence has length 0",
    "one_key": "every sequence has length 1",
    "page_boundary": "lengths one before, at and one past a multiple of the page",
    "shared_blocks": "all sequences share the blocks of the first half of the context",
}
"""In all of them lengths are s_kv unless said otherwise, sequences lie in shuffled blocks, slots without a live token hold
NaN, and dead entries of the block table hold garbage: blocks of NaN or of other sequences, -1, 2^31 - 1, -2^31."""


def make_inputs(axes: Axes, distribution: str, seed: int, device: torch.device) -> Inputs:
    """Inputs on `device`, the same for the same arguments. Built on the CPU."""
    b, s_q, s_kv, h_q, page = (axes[name] for name in ("b", "s_q", "s_kv", "h_q", "page"))
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    lengths = _make_lengths(b, s_kv, page, distribution, rng)
    table = torch.from_numpy(_make_table(lengths, s_kv, page, distribution, rng))
    cache = torch.full(((b * -(-s_kv // page) + 1) * page, 576), torch.nan, dtype=torch.bfloat16)
    normals = generate.key_normals(int(lengths.sum()), 576, generator)
    for row, length in zip(table, lengths.tolist(), strict=True):
        for first in range(0, length, _TOKENS):
            last = min(first + _TOKENS, length)
            keys = generate.make_keys(last - first, 576, distribution, normals, first, s_kv)
            cache[sequence_slots(row, page, first, last)] = keys
    return Inputs(
        generate.make_queries((b, s_q, h_q, 576), distribution, generator).to(device),
        cache.view(-1, page, 1, 576).to(device),
        table.to(device),
        torch.from_numpy(lengths).to(device),
        generate.SM_SCALE,
        bool(axes["causal"]),
    )


_TOKENS = 8192  # tokens drawn at a time: 19 MB in float32


def _make_lengths(b: int, s_kv: int, page: int, distribution: str, rng: np.random.Generator) -> np.ndarray:
    """int32 [b] in [0, s_kv]."""
    lengths = np.full(b, s_kv)
    if distribution == "ragged":
        lengths = rng.integers(0, s_kv + 1, b)
        lengths[0] = 0 if b > 1 else lengths[0]
        lengths[-1] = s_kv if b > 1 else lengths[-1]
    elif distribution == "empty":
        lengths[:] = 0
    elif distribution == "one_key":
        lengths[:] = 1
    elif distribution == "page_boundary":
        pages = rng.integers(1, max(s_kv // page, 1) + 1, b)
        lengths = np.clip(pages * page + np.arange(b) % 3 - 1, 0, s_kv)
    return lengths.astype(np.int32)


def _make_table(lengths: np.ndarray, s_kv: int, page: int, distribution: str, rng: np.random.Generator) -> np.ndarray:
    """int32 [b, ceil(s_kv / page) + 1]; the last block of the cache is never live."""
    b, blocks = len(lengths), -(-s_kv // page)
    spare = b * blocks
    garbage = np.array([spare, 0, -1, 2**31 - 1, -(2**31)], dtype=np.int64)
    table = rng.choice(garbage, (b, blocks + 1))
    live = rng.permutation(spare).reshape(b, blocks)
    if distribution == "shared_blocks":
        live[:, : blocks // 2] = live[0, : blocks // 2]
    for row, own, length in zip(table, live, lengths.tolist(), strict=True):
        used = -(-length // page)
        row[:used] = own[:used]
    return table.astype(np.int32)


def empty_inputs(axes: Axes, device: torch.device) -> Inputs:
    """An `Inputs` of these axes with uninitialised tensors."""
    b, s_q, s_kv, h_q, page = (axes[name] for name in ("b", "s_q", "s_kv", "h_q", "page"))
    blocks = -(-s_kv // page)
    return Inputs(
        torch.empty((b, s_q, h_q, 576), dtype=torch.bfloat16, device=device),
        torch.empty((b * blocks, page, 1, 576), dtype=torch.bfloat16, device=device),
        torch.empty((b, blocks), dtype=torch.int32, device=device),
        torch.empty(b, dtype=torch.int32, device=device),
        generate.SM_SCALE,
        bool(axes["causal"]),
    )


def validate(inputs: Inputs) -> None:
    """Raises TypeError or ValueError naming the argument. Looks at no data but that of a block_table and cache_seqlens on
    the CPU: a live table entry out of range would make a kernel read outside the cache."""
    sizes: dict[str, int] = {}
    arguments.check_tensor("q", inputs.q, torch.bfloat16, ("b", "s_q", "h_q", 576), sizes)
    arguments.check_tensor("kv_cache", inputs.kv_cache, torch.bfloat16, ("num_blocks", "page", 1, 576), sizes)
    arguments.check_tensor("block_table", inputs.block_table, torch.int32, ("b", "max_blocks"), sizes)
    arguments.check_tensor("cache_seqlens", inputs.cache_seqlens, torch.int32, ("b",), sizes)
    arguments.check_scalar("sm_scale", inputs.sm_scale)
    if not isinstance(inputs.causal, bool):
        raise TypeError(f"causal must be a bool, got {type(inputs.causal).__name__}")
    arguments.check_size("b (dim 0 of q)", sizes["b"], 1, 2**31 - 1)
    arguments.check_size("s_q (dim 1 of q)", sizes["s_q"], 1, 2**31 - 1)
    arguments.check_size("h_q (dim 2 of q)", sizes["h_q"], 1, 128)
    arguments.check_size("num_blocks (dim 0 of kv_cache)", sizes["num_blocks"], 1, 2**31 - 1)
    arguments.check_size("page (dim 1 of kv_cache)", sizes["page"], 1, 2**31 - 1)
    check_index_range("cache_seqlens", inputs.cache_seqlens, 0, 2**31 - 1)
    _check_block_table(inputs, sizes["num_blocks"], sizes["page"], sizes["max_blocks"])
    arguments.check_same_device(
        q=inputs.q, kv_cache=inputs.kv_cache, block_table=inputs.block_table, cache_seqlens=inputs.cache_seqlens
    )


def _check_block_table(inputs: Inputs, num_blocks: int, page: int, max_blocks: int) -> None:
    if inputs.cache_seqlens.device.type != "cpu":
        return
    used = -(-inputs.cache_seqlens.long() // page)
    widest = int(used.max())
    if widest > max_blocks:
        raise ValueError(
            f"block_table must have at least {widest} columns for cache_seqlens up to "
            f"{int(inputs.cache_seqlens.max())} at page {page}, got {max_blocks}"
        )
    if inputs.block_table.device.type == "cpu":
        live = torch.arange(max_blocks) < used[:, None]
        check_index_range("block_table (live entries)", inputs.block_table[live], 0, num_blocks - 1)


def axes_of(inputs: Inputs) -> dict[str, int]:
    """The axes of a call. s_kv is the longest sequence, or where that would need a copy from a GPU the table's width."""
    b, s_q, h_q, _ = inputs.q.shape
    page = inputs.kv_cache.shape[1]
    if inputs.cache_seqlens.device.type == "cpu":
        s_kv = int(inputs.cache_seqlens.max())
    else:
        s_kv = inputs.block_table.shape[1] * page
    return {"b": b, "s_q": s_q, "s_kv": max(1, s_kv), "h_q": h_q, "page": page, "causal": int(inputs.causal)}


def empty_outputs(inputs: Inputs) -> Outputs:
    """out bf16 [b, s_q, h_q, 512], lse f32 [b, s_q, h_q], uninitialised."""
    b, s_q, h_q, _ = inputs.q.shape
    return (
        torch.empty((b, s_q, h_q, 512), dtype=torch.bfloat16, device=inputs.q.device),
        torch.empty((b, s_q, h_q), dtype=torch.float32, device=inputs.q.device),
    )


OP = Op(
    name="dense_mla_decode",
    summary="dense absorbed MLA over a paged bf16 latent cache: the baseline of decode",
    axes=AXES,
    distributions=DISTRIBUTIONS,
    output_names=("out", "lse"),
    make_inputs=make_inputs,
    empty_inputs=empty_inputs,
    validate=validate,
    axes_of=axes_of,
    empty_outputs=empty_outputs,
    cost=cost,
    row_count=lambda inputs: inputs.q.shape[:3].numel(),
    row_flops=row_flops,
    reference=reference,
    check=check,
)
