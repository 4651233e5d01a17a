"""Pieces of the eager-torch attention baselines.

Scores are float32: bf16 scores break the contract (measured at h 128, k 2048, scores of standard deviation 1.5: cosine
difference 6.2e-5 against a limit of 1e-5, lse off by 2.2e-4 against 1.2e-4). Eager torch on a CPU rounds a bf16 product to
bf16, so the operands are widened there; on CUDA `bmm` takes bf16 operands and writes float32.
"""

from __future__ import annotations

import torch

from dsabench.kernels.implementation import Tunable

VALUE_PRODUCT = Tunable("PV", ("bf16", "f32"), "dtype in which weights and values are multiplied")


def f32_scores(q: torch.Tensor, k: torch.Tensor, sm_scale: float) -> torch.Tensor:
    """q [n, m, d] · k [n, l, d] → float32 [n, m, l], times sm_scale."""
    if q.is_cuda and k.dtype == torch.bfloat16:
        return torch.bmm(q, k.mT, out_dtype=torch.float32).mul_(sm_scale)
    return torch.bmm(q.float(), k.float().mT).mul_(sm_scale)


def attend(scores: torch.Tensor, v: torch.Tensor, product: str) -> tuple[torch.Tensor, torch.Tensor]:
    """scores float32 [n, m, l] (overwritten), -inf where masked; v [n, l, d], multiplied in `product` ("f32" or "bf16").

    Returns out float32 or bf16 [n, m, d] and lse float32 [n, m, 1]; a row of -inf gives 0 and -inf. Weights are divided by
    their sum after the product: the largest is then exactly 1 in bf16, which halves the largest cosine difference (8.1e-6
    with normalised weights, 3.6e-6 so)."""
    peak = scores.amax(-1, keepdim=True)
    weights = scores.sub_(peak.clamp_min(torch.finfo(torch.float32).min)).exp_()
    total = weights.sum(-1, keepdim=True)
    dtype = torch.float32 if product == "f32" else torch.bfloat16
    out = torch.bmm(weights.to(dtype), v.to(dtype)) / total.clamp_min(1.0)
    return out, peak + torch.log(total)


def sink_factor(lse: torch.Tensor, attn_sink: torch.Tensor) -> torch.Tensor:
    """exp(lse) / (exp(lse) + exp(sink)) for lse [..., h_q]; 0 where lse is -inf."""
    return torch.sigmoid(torch.where(torch.isneginf(lse), lse, lse - attn_sink))


class RunningSoftmax:
    """Attention merged over tiles of keys: out [n, m, d] and lse [n, m], float32, of the tiles added so far."""

    def __init__(self, n: int, m: int, d: int, device: torch.device) -> None:
        self._out = torch.zeros((n, m, d), device=device)
        self._lse = torch.full((n, m, 1), -torch.inf, device=device)

    def add(self, out: torch.Tensor, lse: torch.Tensor) -> None:
        """A tile's normalised out [n, m, d] and lse [n, m, 1]; the merge weighs both by exp(lse)."""
        merged = torch.logaddexp(self._lse, lse)
        floor = merged.clamp_min(torch.finfo(torch.float32).min)
        self._out.mul_(torch.exp(self._lse - floor)).add_(out * torch.exp(lse - floor))
        self._lse = merged

    @property
    def out(self) -> torch.Tensor:
        return self._out

    @property
    def lse(self) -> torch.Tensor:
        return self._lse[..., 0]
