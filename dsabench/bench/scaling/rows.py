"""Pipeline and loss points as flat rows: what `compare --dense --json` and its CSV files hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsabench.bench.records import LossPoint, Measured, PipelinePoint, SideRecord
from dsabench.bench.scaling.bill import Bill, Price, bills
from dsabench.bench.scaling.points import by_context, over_eager


def pipeline_rows(points: Sequence[PipelinePoint], price: Price, seed: int) -> list[dict[str, Any]]:
    """A row a context, ascending; docs/json.md names the keys. Times are milliseconds of a call in one layer."""
    billed = bills(points, price)
    return [
        _row(p, seed, billed.get("dense", {}).get(p.context), billed.get("sparse", {}).get(p.context))
        for p in by_context(points)
    ]


def _row(point: PipelinePoint, seed: int, dense_bill: Bill | None, sparse_bill: Bill | None) -> dict[str, Any]:
    stages = point.sparse.stages if point.sparse else []
    eager = over_eager(point, seed)
    speedup = point.speedup
    assumed = [bill.assumed for bill in (dense_bill, sparse_bill) if bill is not None and bill.assumed is not None]
    return {
        "phase": point.phase,
        "context": point.context,
        "queries": point.queries,
        **_milliseconds("dense", point.dense.time if point.dense else None),
        **_milliseconds("sparse", point.sparse.time if point.sparse else None),
        "speedup": speedup.ratio if speedup else None,
        "speedup_low": speedup.low if speedup else None,
        "speedup_high": speedup.high if speedup else None,
        "stages_ms": {stage.name: stage.time.median_s * 1e3 for stage in stages},
        "stages": [{"stage": stage.name, "impl": stage.impl, "config": stage.config} for stage in stages],
        **_milliseconds("eager", point.eager.time if point.eager else None),
        "dense_over_eager": eager.ratio if eager else None,
        "noise": point.noise,
        "dense_usd": dense_bill.usd if dense_bill else None,
        "sparse_usd": sparse_bill.usd if sparse_bill else None,
        "dense_prompt_usd": dense_bill.prompt_usd if dense_bill else None,
        "sparse_prompt_usd": sparse_bill.prompt_usd if sparse_bill else None,
        "prompt_assumed": max(assumed, default=None),
        **_side("dense", point.dense),
        **_side("sparse", point.sparse),
        "gaps": point.gaps,
        "axes": point.axes,
        "distribution": point.distribution,
        "seed": point.seed,
    }


def _milliseconds(side: str, time: Measured | None) -> dict[str, float | None]:
    values = (time.median_s, time.low_s, time.high_s) if time else (None, None, None)
    keys = (f"{side}_ms", f"{side}_low_ms", f"{side}_high_ms")
    return {key: None if value is None else value * 1e3 for key, value in zip(keys, values, strict=True)}


def _side(name: str, side: SideRecord | None) -> dict[str, Any]:
    return {
        f"{name}_kv_bytes_per_token": side.kv_bytes_per_token if side else None,
        f"{name}_buffer_bytes": side.buffer_bytes if side else None,
        f"{name}_peak_extra_bytes": side.peak_extra_bytes if side else None,
        f"{name}_chunks": side.chunks if side else None,
        f"{name}_rows_checked": side.check.rows_checked if side else None,
        f"{name}_rows_total": side.check.rows_total if side else None,
    }


def flat_pipeline_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same without nesting: `indexer_ms`, `topk_ms` … for the stages, `axis_b` … for the axes, gaps in words."""
    flat = []
    for row in rows:
        plain = {key: value for key, value in row.items() if key not in ("stages_ms", "stages", "gaps", "axes")}
        plain |= {f"{stage}_ms": value for stage, value in row["stages_ms"].items()}
        plain |= {f"axis_{name}": value for name, value in row["axes"].items()}
        plain["gaps"] = "; ".join(f"{side}: {reason}" for side, reason in row["gaps"].items())
        flat.append(plain)
    return flat


def latest_losses(losses: Sequence[LossPoint]) -> list[LossPoint]:
    """One for each kind of input, context and k, the latest measured."""
    return list({(loss.structure, loss.context, loss.k): loss for loss in losses}.values())


def flat_loss_rows(losses: Sequence[LossPoint]) -> list[dict[str, Any]]:
    """`recall_low`, `recall_median`, `recall_high` and so on for each spread."""
    flat = []
    for loss in latest_losses(losses):
        row: dict[str, Any] = {}
        for key, value in loss.model_dump(exclude={"kind"}).items():
            row |= {f"{key}_{name}": each for name, each in value.items()} if isinstance(value, dict) else {key: value}
        flat.append(row)
    return flat
