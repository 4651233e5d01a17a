"""Pipeline and loss records made up from curves, for tests of what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dsabench.bench.intervals import median_interval, paired_ratio
from dsabench.bench.records import (
    CheckRecord,
    LossPoint,
    Measured,
    PipelinePoint,
    Ratio,
    SideRecord,
    Spread,
    StageRecord,
)

ROUNDS = 9


def measured(seconds: float, seed: int, spread: float = 0.01) -> Measured:
    rounds = [float(r) for r in seconds * np.exp(spread * np.random.default_rng(seed).standard_normal(ROUNDS))]
    low, high, _ = median_interval(rounds)
    return Measured(median_s=float(np.median(rounds)), low_s=low, high_s=high, rounds_s=rounds)


def check(passed: bool = True) -> CheckRecord:
    return CheckRecord(
        passed=passed,
        rows_checked=4,
        rows_total=4,
        rule="",
        worst={"abs": 1e-4},
        reason="" if passed else "row 3 is off",
    )


def side(name: str, stages: Mapping[str, float], seed: int, kv_bytes: int, passed: bool = True) -> SideRecord:
    return SideRecord(
        time=measured(sum(stages.values()), seed),
        stages=[
            StageRecord(name=stage, impl="cpu", config={}, time=measured(seconds, seed + 1 + i))
            for i, (stage, seconds) in enumerate(stages.items())
        ],
        kv_bytes_per_token=kv_bytes,
        buffer_bytes=1 << 20,
        peak_extra_bytes=1 << 21,
        chunks=1,
        check=check(passed),
    )


def point(
    context: int,
    dense_s: float | None,
    stages_s: Mapping[str, float] | None,
    *,
    eager_s: float | None = None,
    phase: str = "decode",
    queries: int = 1,
    gaps: Mapping[str, str] | None = None,
    wrong: tuple[str, ...] = (),
) -> PipelinePoint:
    sparse = None if stages_s is None else side("sparse", stages_s, context, 788, "sparse" not in wrong)
    dense = None if dense_s is None else side("dense", {"attention": dense_s}, context + 50, 1152, "dense" not in wrong)
    eager = None if eager_s is None else side("eager", {"attention": eager_s}, context + 90, 1152, "eager" not in wrong)
    ratio = paired_ratio(dense.time.rounds_s, sparse.time.rounds_s, 0) if dense and sparse else None
    return PipelinePoint.model_validate(
        {
            "phase": phase,
            "context": context,
            "queries": queries,
            "axes": {"b": 1, "s_q": queries, "h_q": 128, "index_heads": 64, "topk": 2048, "page": 64},
            "distribution": "normal",
            "seed": 0,
            "sparse": sparse,
            "dense": dense,
            "eager": eager,
            "gaps": dict(gaps or {}),
            "speedup": Ratio(ratio=ratio.ratio, low=ratio.low, high=ratio.high) if ratio else None,
            "noise": 0.01,
            "started": "2026-07-01T10:00:00.000+00:00",
            "duration_s": 1.0,
        }
    )


def decode_stages(context: int) -> dict[str, float]:
    """Growth exponents 1, 1 and 0."""
    return {"indexer": 1.6e-8 * context, "topk": 1e-9 * context, "attention": 2.3e-3}


def decode_points(
    contexts: tuple[int, ...] = (4096, 8192, 16384, 32768, 65536, 131072),
    dense: Callable[[int], float] = lambda context: 3e-7 * context,
) -> list[PipelinePoint]:
    """Dense crosses sparse at 2.3e-3 / 2.83e-7 = 8127."""
    return [point(c, dense(c), decode_stages(c), eager_s=3 * dense(c)) for c in contexts]


def flat(value: float) -> Spread:
    return Spread(low=value, median=value, high=value)


def loss(structure: str, k: int, mass: float, *, context: int = 32768, synthetic: bool = True) -> LossPoint:
    return LossPoint(
        structure=structure,
        synthetic=synthetic,
        context=context,
        k=k,
        queries=16,
        h_q=128,
        recall=Spread(low=0.95, median=0.97, high=0.99),
        mass=flat(mass),
        mass_exact=flat(mass),
        mass_best=flat(min(1.0, mass + 0.01)),
        error=flat(1.0 - mass),
        row_cosine=flat((1.0 - mass) ** 2),
        seed=0,
    )
