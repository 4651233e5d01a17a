"""Contract of `dense_mha_prefill` (REFERENCE §2): axes, inputs and argument checks.

    out[t, h] = Σ_j p_j · v[j, h],  p = softmax over the keys j < n(t) of sm_scale · q[t, h] · k[j, h]
    lse[t, h] = ln Σ_j exp(sm_scale · q[t, h] · k[j, h])

n(t) = s_kv, with causal s_kv − (s_q − 1 − t): the queries are the last s_q tokens of the context.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dsabench.kernels import arguments
from dsabench.kernels import attention_inputs as generate
from dsabench.kernels.dense_mha_prefill.check import check
from dsabench.kernels.dense_mha_prefill.cost import cost
from dsabench.kernels.dense_mha_prefill.reference import reference, row_flops
from dsabench.kernels.op import Axes, Axis, Op, Outputs


@dataclass(frozen=True)
class Inputs:
    """q [s_q, h_q, 192], k [s_kv, h_q, 192], v [s_kv, h_q, 128], all bf16; causal: query t sees the first
    s_kv − (s_q − 1 − t) keys (aligned at the end)."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    sm_scale: float
    causal: bool = True


AXES = (
    Axis("s_q", "query tokens, the last of the context", 1, 1 << 20, 128),
    Axis("s_kv", "context length; at least s_q when causal", 1, 1 << 24, 4096),
    Axis("h_q", "heads, each with its own keys (128, or 64 … 8 under tensor parallelism)", 1, 128, 8),
    Axis("causal", "1: query t sees the first s_kv − (s_q − 1 − t) keys", 0, 1, 1),
)

DISTRIBUTIONS = {
    **generate.VALUE_DISTRIBUTIONS,
    "rising": "scores climb by about 17 along the context: every tile raises the running maximum",
}


def make_inputs(axes: Axes, distribution: str, seed: int, device: torch.device) -> Inputs:
    """Inputs on `device`, the same for the same arguments. Built on the CPU. Raises ValueError when causal and
    s_kv < s_q."""
    s_q, s_kv, h_q, causal = axes["s_q"], axes["s_kv"], axes["h_q"], bool(axes["causal"])
    _check_alignment(s_q, s_kv, causal)
    generator = torch.Generator().manual_seed(seed)
    q = generate.make_queries((s_q, h_q, 192), distribution, generator)
    k = torch.empty((s_kv, h_q, 192), dtype=torch.bfloat16)
    normals = generate.key_normals(h_q * s_kv, 192, generator)
    for head in range(h_q):
        k[:, head] = generate.make_keys(s_kv, 192, distribution, normals)
    v = torch.empty((s_kv, h_q, 128), dtype=torch.bfloat16)
    generate.fill_normal(v, 0.0 if distribution == "zeros" else generate.KEY_STD, generator)
    return Inputs(q.to(device), k.to(device), v.to(device), generate.SM_SCALE, causal)


def _check_alignment(s_q: int, s_kv: int, causal: bool) -> None:
    if causal and s_kv < s_q:
        raise ValueError(f"s_kv must be at least s_q = {s_q} when causal (the queries end the context), got {s_kv}")


def empty_inputs(axes: Axes, device: torch.device) -> Inputs:
    """An `Inputs` of these axes with uninitialised tensors."""
    s_q, s_kv, h_q = axes["s_q"], axes["s_kv"], axes["h_q"]
    return Inputs(
        torch.empty((s_q, h_q, 192), dtype=torch.bfloat16, device=device),
        torch.empty((s_kv, h_q, 192), dtype=torch.bfloat16, device=device),
        torch.empty((s_kv, h_q, 128), dtype=torch.bfloat16, device=device),
        generate.SM_SCALE,
        bool(axes["causal"]),
    )


def validate(inputs: Inputs) -> None:
    """Raises TypeError or ValueError naming the argument. Looks at no tensor's data."""
    sizes: dict[str, int] = {}
    arguments.check_tensor("q", inputs.q, torch.bfloat16, ("s_q", "h_q", 192), sizes)
    arguments.check_tensor("k", inputs.k, torch.bfloat16, ("s_kv", "h_q", 192), sizes)
    arguments.check_tensor("v", inputs.v, torch.bfloat16, ("s_kv", "h_q", 128), sizes)
    arguments.check_scalar("sm_scale", inputs.sm_scale)
    if not isinstance(inputs.causal, bool):
        raise TypeError(f"causal must be a bool, got {type(inputs.causal).__name__}")
    arguments.check_size("s_q (dim 0 of q)", sizes["s_q"], 1, 2**31 - 1)
    arguments.check_size("h_q (dim 1 of q)", sizes["h_q"], 1, 128)
    arguments.check_size("s_kv (dim 0 of k)", sizes["s_kv"], 1, 2**31 - 1)
    _check_alignment(sizes["s_q"], sizes["s_kv"], inputs.causal)
    arguments.check_same_device(q=inputs.q, k=inputs.k, v=inputs.v)


def axes_of(inputs: Inputs) -> dict[str, int]:
    """The axes of a call."""
    s_q, h_q, _ = inputs.q.shape
    return {"s_q": s_q, "s_kv": inputs.k.shape[0], "h_q": h_q, "causal": int(inputs.causal)}


def empty_outputs(inputs: Inputs) -> Outputs:
    """out bf16 [s_q, h_q, 128], lse f32 [s_q, h_q], uninitialised."""
    s_q, h_q, _ = inputs.q.shape
    return (
        torch.empty((s_q, h_q, 128), dtype=torch.bfloat16, device=inputs.q.device),
        torch.empty((s_q, h_q), dtype=torch.float32, device=inputs.q.device),
    )


OP = Op(
    name="dense_mha_prefill",
    summary="dense MHA with 192/128 dims per head: the baseline of prefill",
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
