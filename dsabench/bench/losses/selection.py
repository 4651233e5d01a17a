"""Which k keys each query attends to: by the FP8 indexer, by the exact one, and the best there could be.

A selection is int32 or int64 [n_q, k] of positions, -1 at the end of a row whose query sees fewer than k keys.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dsabench.bench.losses.case import LossCase
from dsabench.kernels.dispatch import call
from dsabench.kernels.fp8 import quantize_e4m3
from dsabench.kernels.index_data import HEAD_DIM
from dsabench.kernels.indexer_logits.contract import Inputs as IndexerInputs
from dsabench.kernels.indexer_logits.reference import TILE_KEYS, score_tile
from dsabench.kernels.topk_select.contract import Inputs as TopkInputs


def fp8_scores(case: LossCase, device: torch.device) -> torch.Tensor:
    """float32 [n_q, context] on `device`, -inf where unseen: queries and keys quantized per token and head, scored by this
    machine's implementation of `indexer_logits`."""
    q, q_scale = quantize_e4m3(case.index_q, HEAD_DIM)
    k, k_scale = quantize_e4m3(case.index_k, HEAD_DIM)
    weights = _model_weights(case) * q_scale.squeeze(-1)
    start, end = _windows(case)
    tensors = (q, k, k_scale.squeeze(-1), weights, start, end)
    return call("indexer_logits", IndexerInputs(*(t.to(device) for t in tensors)), None, None)[0]


def fp8_selections(case: LossCase, scores: torch.Tensor, ks: Sequence[int]) -> dict[int, torch.Tensor]:
    """By k, int32 on the CPU: this machine's `topk_select` on `fp8_scores`, deterministic."""
    start, end = (t.to(scores.device) for t in _windows(case))
    return {k: call("topk_select", TopkInputs(scores, start, end, k, True), None, None)[0].cpu() for k in ks}


def exact_scores(case: LossCase) -> torch.Tensor:
    """float64 [n_q, context] of the indexer on unquantized values."""
    q, weights = case.index_q.double(), _model_weights(case).double()
    scores = torch.empty((q.shape[0], case.context), dtype=torch.float64)
    for first in range(0, case.context, TILE_KEYS):
        k = case.index_k[first : first + TILE_KEYS].double()
        scores[:, first : first + TILE_KEYS] = score_tile(q, k, torch.ones(k.shape[0], dtype=k.dtype), weights)
    return scores


def ranked(case: LossCase, scores: torch.Tensor, most: int) -> torch.Tensor:
    """int64 [n_q, most]: the positions of the highest of scores [n_q, context] that each query sees, highest first, the lower
    position first among equals (a stable sort). Its first k columns are the selection of k keys."""
    unseen = case.unseen()
    order = scores.masked_fill(unseen, -torch.inf).sort(dim=1, descending=True, stable=True).indices[:, :most]
    rows = torch.nn.functional.pad(order, (0, most - order.shape[1]), value=-1)
    return rows.masked_fill(torch.arange(most) >= case.visible[:, None], -1)


def _model_weights(case: LossCase) -> torch.Tensor:
    """With the softmax scales that the model folds in (REFERENCE §2)."""
    return case.index_weights * (case.index_weights.shape[1] ** -0.5 * HEAD_DIM**-0.5)


def _windows(case: LossCase) -> tuple[torch.Tensor, torch.Tensor]:
    end = case.visible.int()
    return torch.zeros_like(end), end
