"""The verdict on paged indexer logits: the rules of `indexer_logits`, with windows [0, context_lens)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dsabench.kernels.index_cache import BLOCK_TOKENS, key_codes, key_scales
from dsabench.kernels.indexer_logits.check import check_logits, nan_codes
from dsabench.kernels.op import Check, Outputs
from dsabench.kernels.paged_indexer_logits.reference import reference

if TYPE_CHECKING:
    from dsabench.kernels.paged_indexer_logits.contract import Inputs


def check(inputs: Inputs, outputs: Outputs, rows: torch.Tensor, expected: Outputs) -> Check:
    next_n = inputs.q.shape[1]
    # Codes are indexed as bytes: not every device indexes float8.
    queries, ends = inputs.q.view(torch.uint8).flatten(0, 1), inputs.context_lens.flatten()

    def is_nan(at_rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        block = inputs.block_table[at_rows // next_n, columns // BLOCK_TOKENS].long()
        slot = columns % BLOCK_TOKENS
        codes = key_codes(inputs.k_cache).view(torch.uint8)[block, slot]
        in_query = nan_codes(queries[at_rows]).any(-1) | inputs.weights[at_rows].isnan().any(-1)
        return in_query | nan_codes(codes) | key_scales(inputs.k_cache)[block, slot].isnan()

    def magnitudes(at_rows: torch.Tensor) -> torch.Tensor:
        return reference(replace(inputs, weights=inputs.weights.abs()), at_rows)[0]

    return check_logits(outputs[0], torch.zeros_like(ends), ends, rows, expected[0], is_nan, magnitudes)
