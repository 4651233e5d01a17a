"""Contract of `sparse_mla_prefill` (REFERENCE §2): axes, inputs and argument checks.

    out[t, h] = Σ_j p_j · kv[j, :512],  p = softmax over the valid entries j of indices[t] of sm_scale · q[t, h] · kv[j]
    lse[t, h] = ln Σ_j exp(sm_scale · q[t, h] · kv[j])

An entry is valid when it is in [0, s_kv) and, with topk_length, among the leftmost topk_length[t]; a repeated entry counts
as often as it stands. A query without a valid entry gives out = 0 and lse = -inf. With attn_sink, out is scaled by
exp(lse) / (exp(lse) + exp(attn_sink[h])); lse is not changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from dsabench.kernels import arguments
from dsabench.kernels import attention_inputs as generate
from dsabench.kernels.attention_arguments import check_index_range
from dsabench.kernels.op import Axes, Axis, Op, Outputs
from dsabench.kernels.sparse_entries import counted_entries, touched_rows
from dsabench.kernels.sparse_mla_prefill.check import check
from dsabench.kernels.sparse_mla_prefill.cost import cost
from dsabench.kernels.sparse_mla_prefill.reference import reference, row_flops


@dataclass(frozen=True)
class Inputs:
    """q [s_q, h_q, 576] bf16; kv [s_kv, 1, 576] bf16, whose first 512 dims are V; indices [s_q, 1, k] int32, rows of kv,
    entries < 0 or >= s_kv are skipped; attn_sink [h_q] f32 or None; topk_length [s_q] int32 or None: only the leftmost
    topk_length[t] entries of query t count."""

    q: torch.Tensor
    kv: torch.Tensor
    indices: torch.Tensor
    sm_scale: float
    attn_sink: torch.Tensor | None = None
    topk_length: torch.Tensor | None = None


AXES = (
    Axis("s_q", "query tokens, the last of the context", 1, 1 << 20, 16),
    Axis("s_kv", "context length: keys in kv", 1, 1 << 24, 4096),
    Axis("h_q", "query heads (128, or 64 … 8 under tensor parallelism)", 1, 128, 128),
    Axis("topk", "index entries per query", 1, 1 << 20, 2048),
)

DISTRIBUTIONS = {**generate.VALUE_DISTRIBUTIONS, **generate.INDEX_DISTRIBUTIONS}
"""In all of them indices are causal (query t sees the first s_kv − (s_q − 1 − t) keys, at least 1), unique and in random
order unless said otherwise, and rows of kv that no valid entry selects hold NaN."""


def make_inputs(axes: Axes, distribution: str, seed: int, device: torch.device) -> Inputs:
    """Inputs on `device`, the same for the same arguments. Built on the CPU."""
    s_q, s_kv, h_q, k = axes["s_q"], axes["s_kv"], axes["h_q"], axes["topk"]
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    selected = generate.select_keys(generate.causal_contexts(1, s_q, s_kv), k, distribution, rng).astype(np.int32)
    if distribution == "out_of_range":
        generate.spoil_indices(selected, s_kv, rng)
    indices = torch.from_numpy(selected)
    topk_length = generate.make_topk_length(distribution, s_q, k, rng)
    used = touched_rows(indices, counted_entries(indices, topk_length, s_kv), s_kv)
    kv = torch.full((s_kv, 576), torch.nan, dtype=torch.bfloat16)
    normals = generate.key_normals(used.numel(), 576, generator)
    kv[used] = generate.make_keys(used.numel(), 576, distribution, normals)
    sink = generate.make_sink(distribution, h_q, generate.typical_lse(k), generator)
    return Inputs(
        generate.make_queries((s_q, h_q, 576), distribution, generator).to(device),
        kv.view(s_kv, 1, 576).to(device),
        indices.view(s_q, 1, k).to(device),
        generate.SM_SCALE,
        None if sink is None else sink.to(device),
        None if topk_length is None else topk_length.to(device),
    )


def empty_inputs(axes: Axes, device: torch.device) -> Inputs:
    """An `Inputs` of these axes with uninitialised tensors, without sinks and lengths."""
    s_q, s_kv, h_q, k = axes["s_q"], axes["s_kv"], axes["h_q"], axes["topk"]
    return Inputs(
        torch.empty((s_q, h_q, 576), dtype=torch.bfloat16, device=device),
        torch.empty((s_kv, 1, 576), dtype=torch.bfloat16, device=device),
        torch.empty((s_q, 1, k), dtype=torch.int32, device=device),
        generate.SM_SCALE,
    )


def validate(inputs: Inputs) -> None:
    """Raises TypeError or ValueError naming the argument. Looks at no data but that of a topk_length on the CPU."""
    sizes: dict[str, int] = {}
    arguments.check_tensor("q", inputs.q, torch.bfloat16, ("s_q", "h_q", 576), sizes)
    arguments.check_tensor("kv", inputs.kv, torch.bfloat16, ("s_kv", 1, 576), sizes)
    arguments.check_tensor("indices", inputs.indices, torch.int32, ("s_q", 1, "k"), sizes)
    arguments.check_scalar("sm_scale", inputs.sm_scale)
    arguments.check_size("s_q (dim 0 of q)", sizes["s_q"], 1, 2**31 - 1)
    arguments.check_size("h_q (dim 1 of q)", sizes["h_q"], 1, 128)
    arguments.check_size("s_kv (dim 0 of kv)", sizes["s_kv"], 1, 2**31 - 1)
    arguments.check_size("k (dim 2 of indices)", sizes["k"], 1, 2**31 - 1)
    if inputs.attn_sink is not None:
        arguments.check_tensor("attn_sink", inputs.attn_sink, torch.float32, ("h_q",), sizes)
    if inputs.topk_length is not None:
        arguments.check_tensor("topk_length", inputs.topk_length, torch.int32, ("s_q",), sizes)
        check_index_range("topk_length", inputs.topk_length, 0, sizes["k"])
    arguments.check_same_device(
        q=inputs.q,
        kv=inputs.kv,
        indices=inputs.indices,
        attn_sink=inputs.attn_sink,
        topk_length=inputs.topk_length,
    )


def axes_of(inputs: Inputs) -> dict[str, int]:
    """The axes of a call."""
    s_q, h_q, _ = inputs.q.shape
    return {"s_q": s_q, "s_kv": inputs.kv.shape[0], "h_q": h_q, "topk": inputs.indices.shape[2]}


def empty_outputs(inputs: Inputs) -> Outputs:
    """out bf16 [s_q, h_q, 512], lse f32 [s_q, h_q], uninitialised."""
    s_q, h_q, _ = inputs.q.shape
    return (
        torch.empty((s_q, h_q, 512), dtype=torch.bfloat16, device=inputs.q.device),
        torch.empty((s_q, h_q), dtype=torch.float32, device=inputs.q.device),
    )


OP = Op(
    name="sparse_mla_prefill",
    summary="sparse MLA over a bf16 latent cache: every query attends to its own top-k keys",
    axes=AXES,
    distributions=DISTRIBUTIONS,
    output_names=("out", "lse"),
    make_inputs=make_inputs,
    empty_inputs=empty_inputs,
    validate=validate,
    axes_of=axes_of,
    empty_outputs=empty_outputs,
    cost=cost,
    row_count=lambda inputs: inputs.q.shape[0] * inputs.q.shape[1],
    row_flops=row_flops,
    reference=reference,
    check=check,
)
