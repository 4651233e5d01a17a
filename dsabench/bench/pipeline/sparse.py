"""The DSA pipeline: indexer, top-k, (in decode) positions to slots, sparse MLA.

The scores of all queries against all keys would be gigabytes (4096 queries × 128K keys: 2 GB), so queries go through indexer and
top-k in chunks whose scores fit SCORE_BYTES, one buffer for all chunks. What top-k selects is small (8 KB a query at k 2048): slots
and attention run once, over all queries.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from dsabench.bench.pipeline.inputs import SparseDecode, SparsePrefill
from dsabench.bench.pipeline.sides import KernelCall, Side, Step, tuned_call
from dsabench.bench.pipeline.slots import slot_mapper
from dsabench.kernels import index_cache, kv_cache
from dsabench.kernels.attention_inputs import SM_SCALE
from dsabench.kernels.indexer_logits.contract import Inputs as IndexerInputs
from dsabench.kernels.op import Outputs
from dsabench.kernels.paged_indexer_logits.contract import Inputs as PagedIndexerInputs
from dsabench.kernels.registry import get_op
from dsabench.kernels.sparse_mla_decode.contract import Inputs as SparseDecodeInputs
from dsabench.kernels.sparse_mla_prefill.contract import Inputs as SparsePrefillInputs
from dsabench.kernels.topk_select.contract import Inputs as TopkInputs

SCORE_BYTES = 256 * 2**20
"""Most that the score buffer takes, unless one query (or one sequence's, in decode) takes more."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """A run of queries through indexer and top-k, [first, last) of all."""

    first: int
    last: int
    indexer: KernelCall
    topk: KernelCall


@dataclass(frozen=True, eq=False)
class PagedSelection:
    """Decode only. positions, slots int32 [b, s_q, k]: selected keys, and where they stand in the cache."""

    positions: torch.Tensor
    slots: torch.Tensor
    block_table: torch.Tensor


class SparsePipeline(Side):
    """selection int32 [tokens, k]: what top-k wrote; paged: None in prefill."""

    def __init__(
        self,
        inputs: SparseDecode | SparsePrefill,
        chunks: Sequence[Chunk],
        scores: torch.Tensor,
        selection: torch.Tensor,
        attention: KernelCall,
        paged: PagedSelection | None,
        kv_bytes_per_token: int,
    ) -> None:
        self.parts = tuple(chunks)
        self.scores = scores
        self.selection = selection
        self.paged = paged
        steps = [s for c in chunks for s in (c.indexer.step("indexer"), c.topk.step("topk"))]
        buffers = [scores, selection, *attention.outputs]
        self.slots_step: Step | None = None
        if paged is not None:
            impl, run = slot_mapper(paged.positions, paged.block_table, paged.slots)
            self.slots_step = Step("slots", impl, {}, run)
            steps.append(self.slots_step)
            buffers.append(paged.slots)
        steps.append(attention.step("attention"))
        super().__init__("sparse", attention, steps, buffers, [inputs], kv_bytes_per_token)

    @property
    def chunks(self) -> int:
        return len(self.parts)


def sparse_pipeline(inputs: SparseDecode | SparsePrefill, topk: int, score_bytes: int = SCORE_BYTES) -> SparsePipeline:
    """Every stage with the implementation and config that are tuned for its size, see `tuned_call`. All buffers are allocated here."""
    if isinstance(inputs, SparseDecode):
        return _decode(inputs, topk, score_bytes)
    return _prefill(inputs, topk, score_bytes)


def chunk_bounds(groups: int, group_bytes: int, most_bytes: int) -> list[int]:
    """Where chunks of whole groups begin, and the end of the last: the fewest that fit `most_bytes`, of equal size give or take a
    group; one group at least."""
    count = -(-groups // max(1, most_bytes // group_bytes))
    return [groups * i // count for i in range(count + 1)]


def _decode(inputs: SparseDecode, topk: int, score_bytes: int) -> SparsePipeline:
    b, s_q = inputs.context_lens.shape
    context = int(inputs.context_lens[0, -1])
    selection = _new((b * s_q, topk), inputs.q)
    slots = _new((b, s_q, topk), inputs.q)
    ends = inputs.context_lens.flatten()

    def indexer(first: int, last: int, scores: torch.Tensor) -> KernelCall:
        """Of sequences [first, last)."""
        some = PagedIndexerInputs(
            inputs.index_q[first:last],
            inputs.index_cache,
            inputs.index_weights[first * s_q : last * s_q],
            inputs.context_lens[first:last],
            inputs.block_table[first:last],
            context,
        )
        return tuned_call("paged_indexer_logits", some, (scores,))

    bounds = chunk_bounds(b, s_q * context * 4, score_bytes)
    scores, chunks = _chunks(bounds, s_q, context, indexer, torch.zeros_like(ends), ends, selection)
    mla = SparseDecodeInputs(inputs.q, inputs.kv_cache, slots, SM_SCALE)
    attention = tuned_call("sparse_mla_decode", mla, _outputs("sparse_mla_decode", mla))
    paged = PagedSelection(selection.view(b, s_q, topk), slots, inputs.block_table)
    token_bytes = kv_cache.TOKEN_BYTES + index_cache.TOKEN_BYTES
    return SparsePipeline(inputs, chunks, scores, selection, attention, paged, token_bytes)


def _prefill(inputs: SparsePrefill, topk: int, score_bytes: int) -> SparsePipeline:
    s_q, context = inputs.q.shape[0], inputs.kv.shape[0]
    selection = _new((s_q, topk), inputs.q)

    def indexer(first: int, last: int, scores: torch.Tensor) -> KernelCall:
        some = IndexerInputs(
            inputs.index_q[first:last],
            inputs.index_k,
            inputs.index_k_scale,
            inputs.index_weights[first:last],
            inputs.starts[first:last],
            inputs.ends[first:last],
        )
        return tuned_call("indexer_logits", some, (scores,))

    bounds = chunk_bounds(s_q, context * 4, score_bytes)
    scores, chunks = _chunks(bounds, 1, context, indexer, inputs.starts, inputs.ends, selection)
    mla = SparsePrefillInputs(inputs.q, inputs.kv, selection.view(s_q, 1, topk), SM_SCALE)
    attention = tuned_call("sparse_mla_prefill", mla, _outputs("sparse_mla_prefill", mla))
    token_bytes = kv_cache.BF16_TOKEN_BYTES + index_cache.TOKEN_BYTES
    return SparsePipeline(inputs, chunks, scores, selection, attention, None, token_bytes)


def _new(shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    return torch.empty(shape, dtype=torch.int32, device=like.device)


def _outputs(op: str, inputs: SparseDecodeInputs | SparsePrefillInputs) -> Outputs:
    return get_op(op).empty_outputs(inputs)


def _chunks(
    bounds: Sequence[int],
    group: int,
    context: int,
    indexer: Callable[[int, int, torch.Tensor], KernelCall],
    starts: torch.Tensor,
    ends: torch.Tensor,
    selection: torch.Tensor,
) -> tuple[torch.Tensor, list[Chunk]]:
    """The score buffer f32 [rows of the largest chunk, context] and the chunks; bounds are in groups of `group` queries."""
    pairs = list(itertools.pairwise(bounds))
    most = max(last - first for first, last in pairs) * group
    scores = torch.empty((most, context), dtype=torch.float32, device=selection.device)
    chunks = []
    for first, last in pairs:
        rows = slice(first * group, last * group)
        some = scores[: rows.stop - rows.start]
        select = TopkInputs(some, starts[rows], ends[rows], selection.shape[1], deterministic=False)
        topk = tuned_call("topk_select", select, (selection[rows],))
        chunks.append(Chunk(rows.start, rows.stop, indexer(first, last, some), topk))
    return scores, chunks
