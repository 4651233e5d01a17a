"""The library functions: the ops of DeepSeek Sparse Attention and of its caches, each on the implementation and config that fit best.

Every function takes `impl=` (a name; default: the fastest that the tuned tables know for this device and shape, else the
first that runs here) and `config=` (a dict over the default; default: the tuned one at the nearest context length). Wrong
arguments raise ValueError or TypeError that name the argument, its value and what was expected, before anything runs and
without scanning a cache.
"""

from __future__ import annotations

import torch

from dsabench.kernels.dense_mha_prefill.contract import Inputs as DenseMhaPrefillInputs
from dsabench.kernels.dense_mla_decode.contract import Inputs as DenseMlaDecodeInputs
from dsabench.kernels.dequantize_kv_cache.contract import Inputs as DequantizeKvCacheInputs
from dsabench.kernels.dispatch import call
from dsabench.kernels.implementation import Config
from dsabench.kernels.indexer_logits.contract import Inputs as IndexerLogitsInputs
from dsabench.kernels.paged_indexer_logits.contract import Inputs as PagedIndexerLogitsInputs
from dsabench.kernels.quantize_index_cache.contract import inputs_of as quantize_index_cache_inputs
from dsabench.kernels.quantize_kv_cache.contract import inputs_of as quantize_kv_cache_inputs
from dsabench.kernels.sparse_mla_decode.contract import Inputs as SparseMlaDecodeInputs
from dsabench.kernels.sparse_mla_prefill.contract import Inputs as SparseMlaPrefillInputs
from dsabench.kernels.topk_select.contract import Inputs as TopkSelectInputs

Pair = tuple[torch.Tensor, torch.Tensor]


def indexer_logits(
    q: torch.Tensor,
    k: torch.Tensor,
    k_scale: torch.Tensor,
    weights: torch.Tensor,
    ks: torch.Tensor,
    ke: torch.Tensor,
    *,
    impl: str | None = None,
    config: Config | None = None,
) -> torch.Tensor:
    """Lightning-indexer scores (DeepSeek-V3.2, eq. 1): k_scale[s] · Σ_h weights[t,h] · relu(q[t,h] · k[s]).

    q: e4m3 [s_q, h, 128], h in {8, 16, 32, 64}; k: e4m3 [s_kv, 128]; k_scale: f32 [s_kv]; weights: f32 [s_q, h];
    ks, ke: int32 [s_q], query t sees ks[t] <= s < ke[t]. Returns f32 [s_q, s_kv], -inf outside the window.
    """
    return call("indexer_logits", IndexerLogitsInputs(q, k, k_scale, weights, ks, ke), impl, config)[0]


def paged_indexer_logits(
    q: torch.Tensor,
    k_cache: torch.Tensor,
    weights: torch.Tensor,
    context_lens: torch.Tensor,
    block_table: torch.Tensor,
    max_context_len: int,
    *,
    impl: str | None = None,
    config: Config | None = None,
) -> torch.Tensor:
    """Lightning-indexer scores over the paged 132-byte cache.

    q: e4m3 [b, next_n, h, 128]; k_cache: uint8 [num_blocks, 64, 1, 132], per block 64×128 key bytes, then 64 f32 scales;
    weights: f32 [b·next_n, h]; context_lens: int32 [b, next_n]; block_table: int32 [b, max_blocks], entries past a
    sequence's last block are never read. Returns f32 [b·next_n, max_context_len], -inf from context_lens[i, j] on.
    """
    inputs = PagedIndexerLogitsInputs(q, k_cache, weights, context_lens, block_table, max_context_len)
    return call("paged_indexer_logits", inputs, impl, config)[0]


def topk_select(
    logits: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    k: int = 2048,
    deterministic: bool = False,
    *,
    impl: str | None = None,
    config: Config | None = None,
) -> torch.Tensor:
    """The k highest scores of each row's window [starts, ends), exactly. NaN ranks below -inf, +0 equals -0.

    logits: f32 [rows, L], L up to 2²⁰; starts, ends: int32 [rows]; k: 1 … 4096. Returns int32 [rows, k], column numbers,
    -1 padded at the end. deterministic: lowest column first among equals, ascending columns.
    """
    return call("topk_select", TopkSelectInputs(logits, starts, ends, k, deterministic), impl, config)[0]


def sparse_mla_prefill(
    q: torch.Tensor,
    kv: torch.Tensor,
    indices: torch.Tensor,
    sm_scale: float,
    attn_sink: torch.Tensor | None = None,
    topk_length: torch.Tensor | None = None,
    *,
    impl: str | None = None,
    config: Config | None = None,
) -> Pair:
    """Attention of each query over its selected rows of a bf16 latent KV; V is the first 512 dims.

    q: bf16 [s_q, h_q, 576]; kv: bf16 [s_kv, 1, 576]; indices: int32 [s_q, 1, k], < 0 or >= s_kv skipped; attn_sink: f32
    [h_q]; topk_length: int32 [s_q]. Returns (out bf16 [s_q, h_q, 512], lse f32 [s_q, h_q], natural log; empty: 0, -inf).
    """
    inputs = SparseMlaPrefillInputs(q, kv, indices, sm_scale, attn_sink, topk_length)
    out, lse = call("sparse_mla_prefill", inputs, impl, config)
    return out, lse


def sparse_mla_decode(
    q: torch.Tensor,
    kv_cache: torch.Tensor,
    indices: torch.Tensor,
    sm_scale: float,
    attn_sink: torch.Tensor | None = None,
    topk_length: torch.Tensor | None = None,
    *,
    impl: str | None = None,
    config: Config | None = None,
) -> Pair:
    """Attention of each query over its selected slots of the 656-byte fp8 cache.

    q: bf16 [b, s_q, h_q, 576]; kv_cache: uint8 [num_blocks, page, 1, 656]; indices: int32 [b, s_q, k], physical slots
    block·page + offset; attn_sink: f32 [h_q]; topk_length: int32 [b, s_q].
    Returns (out bf16 [b, s_q, h_q, 512], lse f32 [b, s_q, h_q], natural log; empty rows: 0, -inf).
    """
    inputs = SparseMlaDecodeInputs(q, kv_cache, indices, sm_scale, attn_sink, topk_length)
    out, lse = call("sparse_mla_decode", inputs, impl, config)
    return out, lse


def dense_mla_decode(
    q: torch.Tensor,
    kv_cache: torch.Tensor,
    block_table: torch.Tensor,
    cache_seqlens: torch.Tensor,
    sm_scale: float,
    causal: bool = False,
    *,
    impl: str | None = None,
    config: Config | None = None,
) -> Pair:
    """Absorbed dense MLA over a paged bf16 cache: the baseline of sparse decode.

    q: bf16 [b, s_q, h_q, 576]; kv_cache: bf16 [num_blocks, page, 1, 576]; block_table: int32 [b, max_blocks];
    cache_seqlens: int32 [b]; causal: query t sees the first cache_seqlens − (s_q − 1 − t) keys.
    Returns (out bf16 [b, s_q, h_q, 512], lse f32 [b, s_q, h_q], natural log; empty rows: 0, -inf).
    """
    inputs = DenseMlaDecodeInputs(q, kv_cache, block_table, cache_seqlens, sm_scale, causal)
    out, lse = call("dense_mla_decode", inputs, impl, config)
    return out, lse


def dense_mha_prefill(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    sm_scale: float,
    causal: bool = True,
    *,
    impl: str | None = None,
    config: Config | None = None,
) -> Pair:
    """Un-absorbed dense attention: the baseline of sparse prefill.

    q: bf16 [s_q, h_q, 192]; k: bf16 [s_kv, h_q, 192]; v: bf16 [s_kv, h_q, 128]; causal is aligned at the end.
    Returns (out bf16 [s_q, h_q, 128], lse f32 [s_q, h_q], natural log; empty rows: 0, -inf).
    """
    out, lse = call("dense_mha_prefill", DenseMhaPrefillInputs(q, k, v, sm_scale, causal), impl, config)
    return out, lse


def quantize_kv_cache(
    kv: torch.Tensor,
    slots: torch.Tensor,
    kv_cache: torch.Tensor,
    ue8m0: bool = False,
    *,
    impl: str | None = None,
    config: Config | None = None,
) -> torch.Tensor:
    """Quantizes latent rows into slots of the 656-byte fp8 cache, in place; the other slots stay as they are.

    kv: bf16 [n, 576], 512 latent dims in groups of 128 with a scale max(amax, 1e-4) / 448 each, 64 rope dims copied; slots:
    int64 or int32 [n], block·page + offset, a row with any other is skipped, those that are not are distinct; kv_cache: uint8
    [num_blocks, page, 1, 656]; ue8m0: scales rounded up to powers of two. Returns kv_cache.
    """
    inputs = quantize_kv_cache_inputs(kv, slots, kv_cache, ue8m0)
    return call("quantize_kv_cache", inputs, impl, config, (kv_cache,))[0]


def quantize_index_cache(
    keys: torch.Tensor,
    slots: torch.Tensor,
    cache: torch.Tensor,
    ue8m0: bool = False,
    *,
    impl: str | None = None,
    config: Config | None = None,
) -> torch.Tensor:
    """Quantizes indexer keys into slots of the 132-byte fp8 cache, in place; the other slots stay as they are.

    keys: bf16 [n, 128], a scale max(amax, 1e-4) / 448 each; slots: int64 or int32 [n], block·64 + offset, a key with any other is
    skipped, those that are not are distinct; cache: uint8 [num_blocks, 64, 1, 132], per block 64×128 key bytes, then 64 f32
    scales; ue8m0: scales rounded up to powers of two. Returns cache.
    """
    inputs = quantize_index_cache_inputs(keys, slots, cache, ue8m0)
    return call("quantize_index_cache", inputs, impl, config, (cache,))[0]


def dequantize_kv_cache(
    kv_cache: torch.Tensor,
    slots: torch.Tensor,
    *,
    impl: str | None = None,
    config: Config | None = None,
) -> torch.Tensor:
    """The tokens in the given slots of the 656-byte fp8 cache as bf16 rows.

    kv_cache: uint8 [num_blocks, page, 1, 656]; slots: int64 or int32 [n], block·page + offset, may repeat. Returns bf16 [n, 576]:
    code · scale in float32, rounded to bf16, and the rope dims; zeros where a slot is out of range.
    """
    return call("dequantize_kv_cache", DequantizeKvCacheInputs(kv_cache, slots), impl, config)[0]
