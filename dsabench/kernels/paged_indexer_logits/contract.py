"""The contract of `paged_indexer_logits` (REFERENCE §2): axes, inputs, argument checks."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Inputs:
    """Row i·next_n + j of the logits scores the first context_lens[i, j] tokens of sequence i; -inf from there on.

    q                float8_e4m3fn [b, next_n, h, 128]; h is 8, 16, 32 or 64
    k_cache          uint8 [num_blocks, 64, 1, 132]; a block holds 64×128 key bytes, then 64 float32 scales
    weights          float32 [b·next_n, h], any sign
    context_lens     int32 [b, next_n], in [0, max_context_len]
    block_table      int32 [b, max_blocks]: token s of sequence i stands in block block_table[i, s // 64], slot s % 64;
                     entries past a sequence's last block may hold anything and are never read
    max_context_len  columns of the output
    """

    q: torch.Tensor
    k_cache: torch.Tensor
    weights: torch.Tensor
    context_lens: torch.Tensor
    block_table: torch.Tensor
    max_context_len: int
