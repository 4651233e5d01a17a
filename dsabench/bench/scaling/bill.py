"""What attention costs at each context of a pipeline run: dollars per million tokens, and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dsabench.bench.records import PipelinePoint
from dsabench.bench.scaling.cost import LAYERS, usd_per_million
from dsabench.bench.scaling.points import by_context, token_seconds, whole_prompts


@dataclass(frozen=True)
class Price:
    """usd_per_hour: of the device; other_ms: time of everything but attention, for one token in one layer (0: left out)."""

    usd_per_hour: float = 2.0
    other_ms: float = 0.0

    def words(self) -> str:
        other = f"plus {self.other_ms:g} ms of all else" if self.other_ms else "attention only"
        return f"{LAYERS} layers, ${self.usd_per_hour:g} an hour, {other}"

    def per_million(self, layer_s: float) -> float:
        return usd_per_million(layer_s, self.usd_per_hour, self.other_ms / 1e3)


@dataclass(frozen=True)
class Bill:
    """Dollars per million tokens of one side at one position. prompt_usd: the mean over a prompt that ends there (prefill only),
    of which the share `assumed` is of tokens before the shortest position measured."""

    usd: float
    prompt_usd: float | None
    assumed: float | None


def bills(points: Sequence[PipelinePoint], price: Price) -> dict[str, dict[int, Bill]]:
    """By side (`dense`, `sparse`) and context."""
    seconds = token_seconds(points)
    prompts = whole_prompts(points) if points and points[0].phase == "prefill" else {}

    def bill(side: str, context: int, token_s: float) -> Bill:
        prompt = prompts.get(side, {}).get(context)
        if prompt is None:
            return Bill(price.per_million(token_s), None, None)
        return Bill(price.per_million(token_s), price.per_million(prompt.seconds / context), prompt.assumed)

    return {side: {c: bill(side, c, token_s) for c, token_s in each.items()} for side, each in seconds.items()}


@dataclass(frozen=True)
class CacheBytes:
    """Bytes of the caches for one token in one layer; None for a side that was not measured."""

    dense: int | None
    sparse: int | None

    @property
    def saving(self) -> float | None:
        """Share of dense's bytes that sparse does without; below 0 when it needs more."""
        return None if not self.dense or self.sparse is None else 1.0 - self.sparse / self.dense

    def total(self, context: int) -> Mapping[str, int]:
        """Bytes of all layers for a sequence of that length, by side."""
        return {
            name: each * context * LAYERS
            for name, each in (("dense", self.dense), ("sparse", self.sparse))
            if each is not None
        }


def cache_bytes(points: Sequence[PipelinePoint]) -> CacheBytes:
    """The same at every context; taken from the longest that has the side."""
    dense = sparse = None
    for point in by_context(points):
        dense = point.dense.kv_bytes_per_token if point.dense else dense
        sparse = point.sparse.kv_bytes_per_token if point.sparse else sparse
    return CacheBytes(dense, sparse)
