"""The float64 reference of the paged indexer's scores: a sequence's blocks are gathered a tile at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.fp8 import decode_e4m3
from dsabench.kernels.index_cache import BLOCK_TOKENS, unpack_index_cache
from dsabench.kernels.indexer_logits.reference import TILE_KEYS, score_tile
from dsabench.kernels.op import Outputs

if TYPE_CHECKING:
    from dsabench.kernels.paged_indexer_logits.contract import Inputs


def reference(inputs: Inputs, rows: torch.Tensor) -> Outputs:
    """Logits float64 [len(rows), max_context_len]; row i·next_n + j is query j of sequence i. On the CPU."""
    next_n, device = inputs.q.shape[1], inputs.q.device
    out = torch.full((len(rows), inputs.max_context_len), -torch.inf, dtype=torch.float64)
    # Indexed as bytes: not every device indexes float8.
    queries, lens = inputs.q.view(torch.uint8).flatten(0, 1), inputs.context_lens.flatten().cpu()
    for sequence in (rows // next_n).unique().tolist():
        places = (rows // next_n == sequence).nonzero()[:, 0]
        mine = rows[places]
        ends = lens[mine].long()
        longest = int(ends.max())
        q = decode_e4m3(queries[mine.to(device)].cpu(), torch.float64)
        weights = inputs.weights[mine.to(device)].cpu().double()
        for first in range(0, longest, TILE_KEYS):
            last = min(first + TILE_KEYS, longest)
            block = first // BLOCK_TOKENS
            taken = inputs.block_table[sequence, block : block + -(-(last - first) // BLOCK_TOKENS)]
            codes, scales = unpack_index_cache(inputs.k_cache[taken.long()].cpu())
            k = decode_e4m3(codes[: last - first], torch.float64)
            scores = score_tile(q, k, scales[: last - first].double(), weights)
            columns = torch.arange(first, last)
            out[places, first:last] = torch.where(columns < ends[:, None], scores, -torch.inf)
    return (out,)


def row_flops(inputs: Inputs) -> float:
    h, dim = inputs.q.shape[2:]
    return 2.0 * h * dim * inputs.max_context_len
