"""What `paged_indexer_logits` cannot avoid (REFERENCE §3), from the lengths a call really has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.index_cache import BLOCK_TOKENS, TOKEN_BYTES
from dsabench.kernels.op import Cost

if TYPE_CHECKING:
    from dsabench.kernels.paged_indexer_logits.contract import Inputs


def cost(inputs: Inputs) -> Cost:
    """2·(valid pairs)·h·128 FLOPs. Bytes: q and weights of the rows that see a key, lengths, live table entries, the
    tokens' 132 bytes each and the whole output. Compulsory bytes count a slot once that several sequences share, gather
    bytes each time."""
    rows, h = inputs.weights.shape
    dim = inputs.q.shape[-1]
    lens = inputs.context_lens.cpu().long()
    longest = lens.amax(-1)
    blocks = -(-longest // BLOCK_TOKENS)
    others = int((lens > 0).sum()) * h * (dim + 4) + lens.numel() * 4 + int(blocks.sum()) * 4
    others += rows * inputs.max_context_len * 4
    slots = _distinct_slots(inputs.block_table.cpu().long(), longest)
    return Cost(
        flops=2 * int(lens.sum()) * h * dim,
        compulsory_bytes=slots * TOKEN_BYTES + others,
        gather_bytes=int(longest.sum()) * TOKEN_BYTES + others,
        product_dtype="fp8",
    )


def _distinct_slots(table: torch.Tensor, longest: torch.Tensor) -> int:
    """Slots in use, each once: of a block that several sequences share, the most that any of them uses."""
    taken = (longest[:, None] - torch.arange(table.shape[1]) * BLOCK_TOKENS).clamp(0, BLOCK_TOKENS)
    live = taken > 0
    if not bool(live.any()):
        return 0
    _, block = table[live].unique(return_inverse=True)
    most = torch.zeros(int(block.max()) + 1, dtype=torch.int64).scatter_reduce_(0, block, taken[live], "amax")
    return int(most.sum())
