"""Journals of `compare --dense` with SYNTHETIC numbers, written through the real writer: measured nowhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dsabench.bench.losses.losses import LOSS_KS
from dsabench.bench.records import DeviceRecord, End, Header, LossPoint, PipelinePoint, Record, Spread
from dsabench.kernels.sizes import format_size
from tests.bench.scaling.pipeline_points import point
from tests.reports.journals import device, header, write_records

CONTEXTS = (4096, 8192, 16384, 32768, 65536, 131072)
DOES_NOT_FIT = "dense attention at 128K needs 19.3 GiB, 15.2 GiB are free"


def stages(phase: str, context: int, queries: int) -> dict[str, float]:
    """A CPU's, per call: indexer and top-k grow with the context, attention does not."""
    if phase == "decode":
        return {
            "indexer": queries * 4.9e-8 * context,
            "topk": queries * 8e-10 * context,
            "slots": 4e-5,
            "attention": queries * 2.3e-3,
        }
    return {
        "indexer": queries * 4.5e-8 * context,
        "topk": queries * 9e-10 * context,
        "attention": queries * 2.2e-3 * min(1.0, context / 2048),
    }


def dense_seconds(phase: str, context: int, queries: int) -> float:
    return queries * (7.5e-7 if phase == "decode" else 2.6e-7) * context


def spread(value: float, relative: float = 0.02) -> Spread:
    return Spread(low=value * (1 - relative), median=value, high=min(1.0, value * (1 + relative)))


# share of the weight that the best 256 of 32K keys hold, and how the rest falls with k
_BEST = {"spread": (0.12, 0.55), "concentrated": (0.966, 0.5), "needles": (0.59, 0.35), "near_ties": (0.03, 0.9)}
_FOUND = {"spread": 0.97, "concentrated": 0.985, "needles": 0.98, "near_ties": 0.7}


def loss(structure: str, k: int, *, context: int = 32768, synthetic: bool = True) -> LossPoint:
    start, exponent = _BEST.get(structure, (0.8, 0.5))
    best = 1 - (1 - start) * (256 / k) ** (exponent / 2)
    found = 1 - (1 - _FOUND.get(structure, 0.98)) * (256 / k) ** 0.5
    return LossPoint(
        structure=structure,
        synthetic=synthetic,
        context=context,
        k=k,
        queries=16,
        h_q=128,
        recall=spread(found),
        mass=spread(best * 0.94),
        mass_exact=spread(best * 0.945),
        mass_best=spread(best),
        error=spread((1 - best * 0.94) * 0.8, 0.2),
        row_cosine=spread((1 - best) ** 2),
        seed=0,
    )


@dataclass
class DenseJournal:
    """gaps: by context and side, the reason; that side is left out. asked: contexts of the header where they are more than those
    measured."""

    phase: str = "decode"
    contexts: tuple[int, ...] = CONTEXTS
    asked: tuple[int, ...] = ()
    queries: int = 1
    device: DeviceRecord = field(default_factory=device)
    gaps: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    structures: tuple[str, ...] = ("spread", "concentrated", "needles", "near_ties")
    ks: tuple[int, ...] = LOSS_KS
    command: str = "dsabench compare --dense --out runs/dense"
    started: str = "2026-03-01T10:00:00+00:00"
    ended: str | None = "2026-03-01T10:03:20+00:00"
    end: str = "complete"
    skipped: tuple[str, ...] = ()
    slower: float = 1.0
    """than the dense side's curve"""
    extra: list[Record] = field(default_factory=list)

    def header(self) -> Header:
        lengths = ",".join(format_size(context) for context in (self.asked or self.contexts))
        ops = (
            ("paged_indexer_logits", "topk_select", "sparse_mla_decode", "dense_mla_decode")
            if self.phase == "decode"
            else ("indexer_logits", "topk_select", "sparse_mla_prefill", "dense_mha_prefill")
        )
        base = header(self.device, started=self.started, run_id=f"synthetic-{self.phase}")
        return base.model_copy(
            update={
                "command": self.command,
                "suite": f"{self.phase} {lengths} b=1 s_q={self.queries} h_q=128 topk=2048",
                "strategy": "compare-dense",
                "budget_s": 240.0,
                "sources": {name: source for name, source in base.sources.items() if name.split("/")[0] in ops},
                "timing_policy": {
                    "rounds": "5 to 30 interleaved rounds in random order of sparse, dense and eager dense"
                },
            }
        )

    def point(self, context: int) -> PipelinePoint:
        gaps = self.gaps.get(context, {})
        seconds = dense_seconds(self.phase, context, self.queries) * self.slower
        made = point(
            context,
            None if "dense" in gaps else seconds,
            None if "sparse" in gaps else stages(self.phase, context, self.queries),
            eager_s=None if "eager" in gaps else seconds * 2.6,
            phase=self.phase,
            queries=self.queries,
            gaps=gaps,
        )
        if made.sparse is None:
            return made
        # Score buffers grow with the context; a prefill's are chunked.
        extra = {"buffer_bytes": 8 * 2048 + min(self.queries, 64) * 4 * context, "chunks": math.ceil(self.queries / 64)}
        return made.model_copy(update={"sparse": made.sparse.model_copy(update=extra)})

    def losses(self) -> list[LossPoint]:
        return [loss(structure, k) for structure in self.structures for k in self.ks]

    def records(self) -> list[Record]:
        out: list[Record] = [self.header(), *(self.point(context) for context in self.contexts), *self.losses()]
        out += self.extra
        if self.ended:
            out.append(
                End(
                    reason=self.end,  # type: ignore[arg-type]
                    detail="",
                    ended=self.ended,
                    wall_s=200.0,
                    skipped=list(self.skipped),
                )
            )
        return out

    def write(self, directory: Path) -> Path:
        return write_records(directory, self.records())
