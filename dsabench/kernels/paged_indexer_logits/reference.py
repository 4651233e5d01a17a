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
    """Logits float64 [len(rows), max_context_len]; row i·next_n + j is query j of sequence i. On the inputs' device."""
    next_n = inputs.q.shape[1]
    rows = rows.to(inputs.q.device)
    out = torch.full((len(rows), inputs.max_context_len), -torch.inf, dtype=torch.float64, device=inputs.q.device)
    queries, lens = inputs.q.flatten(0, 1), inputs.context_lens.flatten()
    for sequence in (rows // next_n).unique():
        places = (rows // next_n == sequence).nonzero()[:, 0]
        mine = rows[places]
        ends = lens[mine].long()
        longest = int(ends.max())
        q, weights = decode_e4m3(queries[mine], torch.float64), inputs.weights[mine].double()
        for first in range(0, longest, TILE_KEYS):
            last = min(first + TILE_KEYS, longest)
            block = first // BLOCK_TOKENS
            taken = inputs.block_table[sequence, block : block + -(-(last - first) // BLOCK_TOKENS)]
            codes, scales = unpack_index_cache(inputs.k_cache[taken.long()])
            k = decode_e4m3(codes[: last - first], torch.float64)
            scores = score_tile(q, k, scales[: last - first].double(), weights)
            columns = torch.arange(first, last, device=rows.device)
            out[places, first:last] = torch.where(columns < ends[:, None], scores, -torch.inf)
    return (out,)


def row_flops(inputs: Inputs) -> float:
    h, dim = inputs.q.shape[2:]
    return 2.0 * h * dim * inputs.max_context_len
