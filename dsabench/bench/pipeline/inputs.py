"""One set of inputs for the pipeline and for dense attention at one context.

Decode: both sides attend over the same latents on one shuffled block table. Dense reads them in bf16 (1152 bytes a token), the
pipeline from the 656-byte fp8 cache into which they were quantized, beside the indexer's 132 bytes.

Prefill: the pipeline attends over the latents in bf16 (1152 bytes a token, and 132 of the indexer); dense attends in its best form,
un-absorbed MHA, over keys and values of every head that a layer expands from the same latents before it attends. What takes the
latents there (W_UK, W_UV) and what takes the pipeline's queries to 576 dims and its outputs back is the layer's projections: they
belong to neither side's attention and are left out of both. So dense's keys and values are drawn by themselves, with the statistics
of the latents.

Values are N(0, 0.1²), queries such that scores have standard deviation 1.5 (see `kernels.attention_inputs`), fp8 scales powers of
two, so that dequantizing to bf16 is exact. The indexer's queries and keys have nothing to do with the attention's: what it selects
is spread over the whole context, the worst case for caches.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import torch

from dsabench.bench.pipeline.shape import PAGE, Shape
from dsabench.kernels.attention_inputs import KEY_STD, SM_SCALE, Normals, key_normals, make_keys, make_queries
from dsabench.kernels.dense_mha_prefill.contract import Inputs as DensePrefill
from dsabench.kernels.dense_mla_decode.contract import Inputs as DenseDecode
from dsabench.kernels.index_cache import key_codes, key_scales, pack_index_cache
from dsabench.kernels.index_data import random_index_data
from dsabench.kernels.kv_cache import D_QK, TOKEN_BYTES, quantize_tokens

_TOKENS = 8192  # latents drawn at a time: 19 MB in float32


@dataclass(frozen=True, eq=False)
class SparseDecode:
    """q bf16 [b, s_q, h_q, 576]; kv_cache uint8 [blocks, 64, 1, 656]; index_cache uint8 [blocks, 64, 1, 132]; index_q e4m3
    [b, s_q, h, 128]; index_weights f32 [b·s_q, h]; context_lens int32 [b, s_q], keys that each query sees; block_table int32
    [b, blocks of a sequence], of both caches."""

    q: torch.Tensor
    kv_cache: torch.Tensor
    index_cache: torch.Tensor
    index_q: torch.Tensor
    index_weights: torch.Tensor
    context_lens: torch.Tensor
    block_table: torch.Tensor


@dataclass(frozen=True, eq=False)
class SparsePrefill:
    """q bf16 [s_q, h_q, 576]; kv bf16 [context, 1, 576]; index_q e4m3 [s_q, h, 128]; index_k e4m3 [context, 128]; index_k_scale
    f32 [context]; index_weights f32 [s_q, h]; starts, ends int32 [s_q]: query t sees keys starts[t] … ends[t] − 1."""

    q: torch.Tensor
    kv: torch.Tensor
    index_q: torch.Tensor
    index_k: torch.Tensor
    index_k_scale: torch.Tensor
    index_weights: torch.Tensor
    starts: torch.Tensor
    ends: torch.Tensor


@dataclass(frozen=True)
class PointInputs:
    """None: a side that was not asked for."""

    sparse: SparseDecode | SparsePrefill | None
    dense: DenseDecode | DensePrefill | None


def build_inputs(shape: Shape, sides: Collection[str], seed: int, device: torch.device) -> PointInputs:
    """Inputs of the `sides` (`sparse`, `dense`) on `device`; each is the same for the same shape and seed, whatever other side is
    built. Drawn on the CPU in pieces, so that there is no second copy of a cache."""
    if shape.phase == "decode":
        return _decode(shape, sides, seed, device)
    return PointInputs(
        _sparse_prefill(shape, seed, device) if "sparse" in sides else None,
        _dense_prefill(shape, seed, device) if "dense" in sides else None,
    )


def _generator(seed: int, what: int) -> torch.Generator:
    """One for each kind of input, so that leaving one out changes no other."""
    return torch.Generator().manual_seed(seed * 16 + what)


_TABLE, _QUERIES, _LATENTS, _INDEX, _HEADS = range(5)


def _decode(shape: Shape, sides: Collection[str], seed: int, device: torch.device) -> PointInputs:
    b, s_q = shape.batch, shape.queries
    table = torch.randperm(b * shape.blocks, generator=_generator(seed, _TABLE)).view(b, -1).to(torch.int32)
    q = make_queries((b, s_q, shape.heads, D_QK), "normal", _generator(seed, _QUERIES)).to(device)
    dead = _dead_slots(shape, table)
    wide = torch.empty((shape.slots, D_QK), dtype=torch.bfloat16, device=device) if "dense" in sides else None
    narrow = torch.empty((shape.slots, TOKEN_BYTES), dtype=torch.uint8, device=device) if "sparse" in sides else None
    for first, latents in _latents(shape.slots, _generator(seed, _LATENTS)):
        piece = slice(first, first + latents.shape[0])
        if wide is not None:
            wide[piece] = latents.to(device)
        if narrow is not None:
            narrow[piece] = quantize_tokens(latents.to(device), ue8m0=True)
    block_table = table.to(device)
    dense: DenseDecode | None = None
    if wide is not None:
        wide[dead.to(device)] = torch.nan
        lengths = torch.full((b,), shape.context, dtype=torch.int32, device=device)
        cache = wide.view(-1, PAGE, 1, D_QK)
        # One query sees the whole context either way; tuned tables know that as causal = 0.
        dense = DenseDecode(q, cache, block_table, lengths, SM_SCALE, causal=s_q > 1)
    sparse: SparseDecode | None = None
    if narrow is not None:
        narrow[dead.to(device)] = 0xFF  # NaN as code, scale and bf16
        data = random_index_data(b * s_q, shape.slots, shape.index_heads, "normal", _generator(seed, _INDEX))
        index_cache = pack_index_cache(data.k, data.k_scale)
        key_codes(index_cache).view(torch.uint8)[dead // PAGE, dead % PAGE] = 0xFF
        key_scales(index_cache)[dead // PAGE, dead % PAGE] = torch.nan
        lens = shape.context - torch.arange(s_q - 1, -1, -1, dtype=torch.int32)
        sparse = SparseDecode(
            q=q,
            kv_cache=narrow.view(-1, PAGE, 1, TOKEN_BYTES),
            index_cache=index_cache.to(device),
            index_q=data.q.view(b, s_q, shape.index_heads, -1).to(device),
            index_weights=data.weights.to(device),
            context_lens=lens.expand(b, s_q).contiguous().to(device),
            block_table=block_table,
        )
    return PointInputs(sparse, dense)


def _dead_slots(shape: Shape, table: torch.Tensor) -> torch.Tensor:
    """int64: the slots of each sequence's last block that hold no token."""
    unused = torch.arange(shape.context - (shape.blocks - 1) * PAGE, PAGE)
    return (table[:, -1:].long() * PAGE + unused).flatten()


def _latents(count: int, generator: torch.Generator) -> Iterator[tuple[int, torch.Tensor]]:
    """(first, bf16 [n, 576]) until there are `count`."""
    normals = key_normals(count, D_QK, generator)
    for first in range(0, count, _TOKENS):
        yield first, make_keys(min(_TOKENS, count - first), D_QK, "normal", normals)


def _sparse_prefill(shape: Shape, seed: int, device: torch.device) -> SparsePrefill:
    s_q, context = shape.queries, shape.context
    kv = torch.empty((context, 1, D_QK), dtype=torch.bfloat16, device=device)
    for first, latents in _latents(context, _generator(seed, _LATENTS)):
        kv[first : first + latents.shape[0], 0] = latents.to(device)
    data = random_index_data(s_q, context, shape.index_heads, "normal", _generator(seed, _INDEX))
    return SparsePrefill(
        q=make_queries((s_q, shape.heads, D_QK), "normal", _generator(seed, _QUERIES)).to(device),
        kv=kv,
        index_q=data.q.to(device),
        index_k=data.k.to(device),
        index_k_scale=data.k_scale.to(device),
        index_weights=data.weights.to(device),
        starts=torch.zeros(s_q, dtype=torch.int32, device=device),
        ends=torch.arange(context - s_q + 1, context + 1, dtype=torch.int32).to(device),
    )


def _dense_prefill(shape: Shape, seed: int, device: torch.device) -> DensePrefill:
    generator = _generator(seed, _HEADS)
    heads, context = shape.heads, shape.context
    q = make_queries((shape.queries, heads, 192), "normal", generator).to(device)
    normals = Normals(context * heads * (192 + 128), KEY_STD, generator)

    def filled(width: int) -> torch.Tensor:
        whole = torch.empty((context, heads, width), dtype=torch.bfloat16, device=device)
        step = max(1, _TOKENS // heads)
        for first in range(0, context, step):
            piece = torch.empty((min(step, context - first), heads, width), dtype=torch.bfloat16)
            normals.fill(piece)
            whole[first : first + step] = piece.to(device)
        return whole

    return DensePrefill(q, filled(192), filled(128), SM_SCALE, causal=True)
