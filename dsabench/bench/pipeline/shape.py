"""The sizes of one comparison of the pipeline with dense attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dsabench.kernels.op import Axis

PAGE = 64
"""Tokens a block of every cache: the indexer's cache has no other page, and one block table serves all."""

_MOST_SLOTS = 2**31 - 1  # a slot is an int32
_MOST_CONTEXT = 1 << 20
_MOST_DECODE_QUERIES = 64  # of the paged indexer

AXES = (
    Axis("batch", "sequences", 1, 1 << 16, 1),
    Axis("queries", "tokens of each sequence, the last of its context", 1, _MOST_CONTEXT, 1),
    Axis("heads", "attention heads (128, or 64 … 8 under tensor parallelism)", 1, 128, 128),
    Axis("index_heads", "heads of the indexer: 8, 16, 32 or 64", 8, 64, 64),
    Axis("topk", "keys that the indexer selects for each query", 1, 4096, 2048),
    Axis("context", "keys that the last query sees", 1, _MOST_CONTEXT, 4096),
)


@dataclass(frozen=True)
class Shape:
    """decode: `batch` sequences, each of `context` tokens, of which the last `queries` are computed; prefill: one chunk of
    `queries` tokens that ends a context of `context` tokens (chunked prefill: what these tokens cost at this position; a
    whole prompt where queries = context)."""

    phase: Literal["decode", "prefill"]
    context: int
    batch: int
    queries: int
    heads: int
    index_heads: int
    topk: int

    def check(self) -> None:
        """Raises ValueError naming what is wrong."""
        for axis in AXES:
            axis.check(getattr(self, axis.name))
        if self.index_heads not in (8, 16, 32, 64):
            raise ValueError(f"index_heads must be 8, 16, 32 or 64, got {self.index_heads}")
        if self.queries > self.context:
            raise ValueError(
                f"queries = {self.queries} do not fit a context of {self.context}: they are its last tokens"
            )
        if self.phase == "prefill" and self.batch != 1:
            raise ValueError(f"prefill is of one sequence, got batch = {self.batch}")
        if self.phase == "decode" and self.queries > _MOST_DECODE_QUERIES:
            raise ValueError(f"decode takes up to {_MOST_DECODE_QUERIES} queries a sequence, got {self.queries}")
        if self.phase == "decode" and self.slots > _MOST_SLOTS:
            raise ValueError(f"{self.batch} sequences of {self.context} tokens need more slots than an int32 counts")

    @property
    def tokens(self) -> int:
        """Tokens whose attention one call computes."""
        return self.batch * self.queries

    @property
    def blocks(self) -> int:
        """Blocks of one sequence in a paged cache."""
        return -(-self.context // PAGE)

    @property
    def slots(self) -> int:
        """Slots of the whole paged cache."""
        return self.batch * self.blocks * PAGE

    @property
    def axes(self) -> dict[str, int]:
        """By the names of the ops' axes."""
        sizes = {
            "b": self.batch,
            "s_q": self.queries,
            "h_q": self.heads,
            "index_heads": self.index_heads,
            "topk": self.topk,
        }
        return sizes if self.phase == "prefill" else {**sizes, "page": PAGE}
