"""Contract of `sparse_mla_decode` (REFERENCE §2): axes, inputs and argument checks.

The computation of `sparse_mla_prefill` with b sequences of s_q queries over a paged fp8 cache: an index is a physical slot
(block · page + offset), a latent dim of a cached token is its e4m3 code times the f32 scale of its group.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dsabench.kernels import arguments
from dsabench.kernels import attention_inputs as generate
from dsabench.kernels.attention_arguments import check_index_range
from dsabench.kernels.fp8 import E4M3_MAX, quantize_e4m3
from dsabench.kernels.kv_cache import GROUP, LATENT, TOKEN_BYTES, pack_tokens
from dsabench.kernels.op import Axes, Axis, Op, Outputs
from dsabench.kernels.sparse_entries import counted_entries, touched_rows
from dsabench.kernels.sparse_mla_decode.check import check
from dsabench.kernels.sparse_mla_decode.cost import cost
from dsabench.kernels.sparse_mla_decode.reference import reference, row_flops


@dataclass(frozen=True)
class Inputs:
    """q [b, s_q, h_q, 576] bf16; kv_cache [num_blocks, page, 1, 656] uint8, the layout of `kernels.kv_cache`; indices
    [b, s_q, k] int32, physical slots block·page + offset, entries < 0 or >= num_blocks·page are skipped; attn_sink [h_q]
    f32 or None; topk_length [b, s_q] int32 or None: only the leftmost topk_length[i, t] entries of a query count."""

    q: torch.Tensor
    kv_cache: torch.Tensor
    indices: torch.Tensor
    sm_scale: float
    attn_sink: torch.Tensor | None = None
    topk_length: torch.Tensor | None = None


AXES = (
    Axis("b", "sequences", 1, 1 << 16, 1),
    Axis("s_q", "query tokens per sequence, the last of its context", 1, 1 << 12, 1),
    Axis("s_kv", "context length of each sequence", 1, 1 << 24, 4096),
    Axis("h_q", "query heads (128, or 64 … 8 under tensor parallelism)", 1, 128, 128),
    Axis("topk", "index entries per query", 1, 1 << 20, 2048),
    Axis("page", "tokens per block of the cache", 1, 1 << 16, 64),
)

DISTRIBUTIONS = {
    **generate.VALUE_DISTRIBUTIONS,
    "ue8m0": "scales rounded up to powers of two",
    **generate.INDEX_DISTRIBUTIONS,
}
"""In all of them sequences lie in shuffled blocks, indices are causal, unique and in random order unless said otherwise,
and slots that no valid entry selects hold 0xff (NaN as code, scale and bf16).

Scales are amax/448 rounded up to four significant bits (in `ue8m0` to one): times a code's four bits they are exact in
bf16. So kernels that dequantize to bf16 and kernels that keep f32 are held to the same numbers. With arbitrary f32 scales
the bf16 rounding alone moves a score of standard deviation 1.5 by about 1.5e-3, beyond the lse tolerance of a query with
fewer than some hundred keys."""


def make_inputs(axes: Axes, distribution: str, seed: int, device: torch.device) -> Inputs:
    """Inputs on `device`, the same for the same arguments. Built on the CPU."""
    b, s_q, s_kv, h_q, k, page = (axes[name] for name in ("b", "s_q", "s_kv", "h_q", "topk", "page"))
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    blocks = -(-s_kv // page)
    slots = b * blocks * page
    table = rng.permutation(b * blocks).reshape(b, blocks)
    selected = generate.select_keys(generate.causal_contexts(b, s_q, s_kv), k, distribution, rng)
    sequence = np.repeat(np.arange(b), s_q)[:, None]
    selected = np.where(selected < 0, -1, table[sequence, selected // page] * page + selected % page).astype(np.int32)
    if distribution == "out_of_range":
        generate.spoil_indices(selected, slots, rng)
    indices = torch.from_numpy(selected)
    topk_length = generate.make_topk_length(distribution, b * s_q, k, rng)
    used = touched_rows(indices, counted_entries(indices, topk_length, slots), slots)
    cache = torch.full((slots, TOKEN_BYTES), 0xFF, dtype=torch.uint8)
    cache[used] = _make_tokens(used.numel(), distribution, generator)
    sink = generate.make_sink(distribution, h_q, generate.typical_lse(k), generator)
    return Inputs(
        generate.make_queries((b, s_q, h_q, 576), distribution, generator).to(device),
        cache.view(b * blocks, page, 1, TOKEN_BYTES).to(device),
        indices.view(b, s_q, k).to(device),
        generate.SM_SCALE,
        None if sink is None else sink.to(device),
        None if topk_length is None else topk_length.view(b, s_q).to(device),
    )


_TOKENS = 8192  # tokens quantized at a time: 19 MB in float32


def _make_tokens(count: int, distribution: str, generator: torch.Generator) -> torch.Tensor:
    """uint8 [count, 656]: random tokens with scales for which dequantization is exact in bf16."""
    tokens = torch.empty((count, TOKEN_BYTES), dtype=torch.uint8)
    normals = generate.key_normals(count, 576, generator)
    for first in range(0, count, _TOKENS):
        piece = tokens[first : first + _TOKENS]
        kv = generate.make_keys(piece.shape[0], 576, distribution, normals).float()
        codes, scales = quantize_e4m3(kv[:, :LATENT], GROUP, ue8m0=distribution == "ue8m0")
        if distribution != "ue8m0":
            scales = _round_up_to_four_bits(scales)
            grouped = kv[:, :LATENT].unflatten(1, (-1, GROUP)) / scales[:, :, None]
            codes = grouped.clamp(-E4M3_MAX, E4M3_MAX).flatten(1).to(torch.float8_e4m3fn)
        piece.copy_(pack_tokens(codes, scales, kv[:, LATENT:]))
    return tokens


def _round_up_to_four_bits(scales: torch.Tensor) -> torch.Tensor:
    """Positive float32 scales with all but the three highest mantissa bits rounded up into them."""
    low = (1 << 20) - 1
    return ((scales.contiguous().view(torch.int32) + low) & ~low).view(torch.float32)


def empty_inputs(axes: Axes, device: torch.device) -> Inputs:
    """An `Inputs` of these axes with uninitialised tensors, without sinks and lengths."""
    b, s_q, s_kv, h_q, k, page = (axes[name] for name in ("b", "s_q", "s_kv", "h_q", "topk", "page"))
    return Inputs(
        torch.empty((b, s_q, h_q, 576), dtype=torch.bfloat16, device=device),
        torch.empty((b * -(-s_kv // page), page, 1, TOKEN_BYTES), dtype=torch.uint8, device=device),
        torch.empty((b, s_q, k), dtype=torch.int32, device=device),
        generate.SM_SCALE,
    )


def validate(inputs: Inputs) -> None:
    """Raises TypeError or ValueError naming the argument. Looks at no data but that of a topk_length on the CPU."""
    sizes: dict[str, int] = {}
    arguments.check_tensor("q", inputs.q, torch.bfloat16, ("b", "s_q", "h_q", 576), sizes)
    arguments.check_tensor("kv_cache", inputs.kv_cache, torch.uint8, ("num_blocks", "page", 1, TOKEN_BYTES), sizes)
    arguments.check_tensor("indices", inputs.indices, torch.int32, ("b", "s_q", "k"), sizes)
    arguments.check_scalar("sm_scale", inputs.sm_scale)
    arguments.check_size("b (dim 0 of q)", sizes["b"], 1, 2**31 - 1)
    arguments.check_size("s_q (dim 1 of q)", sizes["s_q"], 1, 2**31 - 1)
    arguments.check_size("h_q (dim 2 of q)", sizes["h_q"], 1, 128)
    arguments.check_size("num_blocks (dim 0 of kv_cache)", sizes["num_blocks"], 1, 2**31 - 1)
    arguments.check_size("page (dim 1 of kv_cache)", sizes["page"], 1, 2**31 - 1)
    arguments.check_size("k (dim 2 of indices)", sizes["k"], 1, 2**31 - 1)
    if inputs.attn_sink is not None:
        arguments.check_tensor("attn_sink", inputs.attn_sink, torch.float32, ("h_q",), sizes)
    if inputs.topk_length is not None:
        arguments.check_tensor("topk_length", inputs.topk_length, torch.int32, ("b", "s_q"), sizes)
        check_index_range("topk_length", inputs.topk_length, 0, sizes["k"])
    arguments.check_same_device(
        q=inputs.q,
        kv_cache=inputs.kv_cache,
        indices=inputs.indices,
        attn_sink=inputs.attn_sink,
        topk_length=inputs.topk_length,
    )


def axes_of(inputs: Inputs) -> dict[str, int]:
    """The axes of a call. A context length is not an argument of this op: the cache's slots per sequence stand for it."""
    b, s_q, h_q, _ = inputs.q.shape
    num_blocks, page = inputs.kv_cache.shape[:2]
    s_kv = max(1, num_blocks // b) * page
    return {"b": b, "s_q": s_q, "s_kv": s_kv, "h_q": h_q, "topk": inputs.indices.shape[2], "page": page}


def empty_outputs(inputs: Inputs) -> Outputs:
    """out bf16 [b, s_q, h_q, 512], lse f32 [b, s_q, h_q], uninitialised."""
    b, s_q, h_q, _ = inputs.q.shape
    return (
        torch.empty((b, s_q, h_q, 512), dtype=torch.bfloat16, device=inputs.q.device),
        torch.empty((b, s_q, h_q), dtype=torch.float32, device=inputs.q.device),
    )


OP = Op(
    name="sparse_mla_decode",
    summary="sparse MLA over a paged fp8 latent cache: every query attends to its own top-k slots",
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
