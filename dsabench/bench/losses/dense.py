"""Dense attention of a case's queries: the output that selecting keys is held against, and how much weight each key carries.

Scores, weights and the products with V are float32, sums over more than 1024 keys float64. Of bf16 values every product is exact
in float32, and what rounding is left is small: against float64 throughout, weights were right to 2e-6 of themselves and outputs
to 7e-7 of their norm (all structures at 4K and 32K keys). The bf16 output of a sparse kernel is rounded by 2e-3. float64 would
halve the rate of the products and double the memory for scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from dsabench.bench.losses.case import LossCase

D_V = 512
_KEYS = 1024  # scores of 1024 rows over so many keys are 4 MB: they are exponentiated and multiplied in the cache
_SCORE_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class DenseAttention:
    """out float64 [n_q, h_q, 512]; weights float64 [n_q, context]: softmax weight of each key, mean over heads; a row adds up
    to 1."""

    out: torch.Tensor
    weights: torch.Tensor


def dense_attention(case: LossCase) -> DenseAttention:
    """Keeps the scores of as many queries as fit 256 MB, at least one (64 MB at 128K and 128 heads), so that every key's
    weight follows from one pass over the latents."""
    n_q, h_q, _ = case.q.shape
    out = torch.empty((n_q, h_q, D_V), dtype=torch.float64)
    weights = torch.zeros((n_q, case.context), dtype=torch.float64)
    step = max(1, _SCORE_BYTES // (4 * h_q * case.context))
    for first in range(0, n_q, step):
        _attend(case, slice(first, min(first + step, n_q)), out, weights)
    return DenseAttention(out, weights)


def _attend(case: LossCase, queries: slice, out: torch.Tensor, weights: torch.Tensor) -> None:
    """Fills the rows `queries` of out and weights."""
    h_q = case.q.shape[1]
    visible = case.visible[queries]
    keys = int(visible.max())
    rows = case.q[queries].flatten(0, 1).float()
    chunks = [slice(first, min(first + _KEYS, keys)) for first in range(0, keys, _KEYS)]
    scores = []
    for chunk in chunks:
        products = rows @ case.kv[chunk].float().T
        unseen = torch.arange(chunk.start, chunk.stop) >= visible[:, None]
        if bool(unseen.any()):
            products.masked_fill_(unseen.repeat_interleave(h_q, 0), -torch.inf)
        scores.append(products)
    peak = torch.stack([products.amax(1) for products in scores]).amax(0)[:, None]
    total = torch.zeros((rows.shape[0], 1), dtype=torch.float64)
    numerator = torch.zeros((rows.shape[0], D_V), dtype=torch.float64)
    for chunk, products in zip(chunks, scores, strict=True):
        exps = products.sub_(peak).mul_(case.sm_scale).exp_()
        total += exps.sum(1, keepdim=True, dtype=torch.float64)
        numerator += exps @ case.kv[chunk, :D_V].float()
    out[queries] = (numerator / total).unflatten(0, (-1, h_q))
    share = (1.0 / (h_q * total)).float().view(-1, 1, h_q)
    for chunk, exps in zip(chunks, scores, strict=True):
        weights[queries, chunk] = torch.bmm(share, exps.unflatten(0, (-1, h_q)))[:, 0].double()
