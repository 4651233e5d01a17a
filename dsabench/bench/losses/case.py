"""The inputs of one loss measurement: queries, latents, and what the indexer sees of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class LossCase:
    """Everything on the CPU; the values as the model holds them, before any FP8.

    structure      name of the synthetic structure, or of the file
    q              bf16 [n_q, h_q, 576], absorbed queries
    kv             bf16 [context, 576], latents, the same for all heads; V is the first 512 dims
    index_q        float32 [n_q, 64, 128]
    index_k        float32 [context, 128], one head for all index heads
    index_weights  float32 [n_q, 64], without quantization scale and softmax scales
    visible        int64 [n_q]: query t sees keys 0 … visible[t] − 1; 1 … context
    sm_scale       of the attention
    seed           of synthetic inputs, else 0
    """

    structure: str
    synthetic: bool
    q: torch.Tensor
    kv: torch.Tensor
    index_q: torch.Tensor
    index_k: torch.Tensor
    index_weights: torch.Tensor
    visible: torch.Tensor
    sm_scale: float
    seed: int = 0

    @property
    def context(self) -> int:
        return self.kv.shape[0]

    def unseen(self, first: int = 0, last: int | None = None) -> torch.Tensor:
        """bool [n_q, last − first]: which of the keys first … last − 1 (default: all) a query does not see."""
        return torch.arange(first, self.context if last is None else last) >= self.visible[:, None]
