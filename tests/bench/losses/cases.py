"""Small cases whose attention and selections are known by hand."""

from __future__ import annotations

import torch

from dsabench.bench.losses.case import LossCase

FAR = -128.0  # a score that leaves a key no weight


def tiny_case(
    scores: list[list[float]], index_keys: list[list[float]], visible: int | None = None, n_q: int = 1
) -> LossCase:
    """scores [h_q][context], at most 8 heads: of each head with each key (bf16 numbers, sm_scale 1). The value of key j is the
    unit vector j. index_keys [context][dims]: the index score is its first number if positive, times a constant."""
    h_q, context = len(scores), len(scores[0])
    q = torch.zeros(n_q, h_q, 576)
    kv = torch.zeros(context, 576)
    for head in range(h_q):
        q[:, head, 512 + head] = 1.0
        kv[:, 512 + head] = torch.tensor(scores[head])
    kv[torch.arange(context), torch.arange(context)] = 1.0
    index_q = torch.zeros(n_q, 64, 128)
    index_q[:, :, 0] = 1.0
    index_k = torch.zeros(context, 128)
    given = torch.tensor(index_keys)
    index_k[:, : given.shape[1]] = given
    return LossCase(
        structure="tiny",
        synthetic=True,
        q=q.bfloat16(),
        kv=kv.bfloat16(),
        index_q=index_q,
        index_k=index_k,
        index_weights=torch.ones(n_q, 64),
        visible=torch.full((n_q,), visible or context),
        sm_scale=1.0,
    )
