"""Inspections and machines made by hand: round numbers, so that predictions can be computed in one's head."""

from __future__ import annotations

from typing import Any

from dsabench.autotune.predict.machine import Machine
from dsabench.bench.inspection_records import (
    CodeRecord,
    Inspection,
    LaunchRecord,
    Outcome,
    ProductRecord,
    RoleRecord,
    SpanRecord,
)

GHZ = 1e9
MACHINE = Machine(
    name="round", basis="made", sms=100, clock_hz=GHZ, bandwidth=1e12, l2_bandwidth=4e12, l2_bytes=50_000_000,
    product={"bf16": 1e14, "fp8": 2e14},
)  # fmt: skip
"""An SM does 1000 bf16 FLOPs a clock."""

PRODUCT = "HGMMA.64x256x16.F32.BF16"
PRODUCT_FLOPS = 2 * 64 * 256 * 16


def span(
    instructions: int, products: int = 0, loaded: int | None = None, shared: int | None = None, **sass: int
) -> SpanRecord:
    families = {"HGMMA": products, "LDL": 0, "STL": 0, **sass}
    named = {PRODUCT: products} if products else {}
    return SpanRecord(
        instructions=instructions, sass=families, products=named, loaded_bytes=loaded, shared_bytes=shared
    )


def launch(
    loop: SpanRecord | None,
    whole: SpanRecord | None = None,
    grid: tuple[int, ...] = (100,),
    blocks_per_sm: int = 1,
    warps: int = 4,
    stages: int = 1,
    useful: int | None = None,
) -> LaunchRecord:
    issued = loop.products.get(PRODUCT, 0) * PRODUCT_FLOPS * (warps // 4) if loop else 0
    counted = None
    if issued:
        counted = ProductRecord(
            in_loop=True, trips=1, useful_flops=issued if useful is None else useful, issued_flops=issued,
            fp8_useful_flops=0, fp8_issued_flops=0,
        )  # fmt: skip
    body = whole or loop
    assert body is not None
    code = CodeRecord(
        kernel="made", num_warps=warps, num_stages=stages, ptx="ab", registers=100, local_bytes=0, spill_store_bytes=0,
        spill_load_bytes=0, shared_bytes=1024, whole=body, loop=loop, products=counted, serialized=False, losses=[], compile_s=1.0,
    )  # fmt: skip
    return LaunchRecord(
        code=code, grid=list(grid), blocks_per_sm=blocks_per_sm, warps_per_sm=warps * blocks_per_sm, limited_by="registers",
        cannot_launch="",
    )  # fmt: skip


def specialized(
    scores: int = 400,
    values: int = 100,
    fetches: int = 200,
    loaded: int = 0,
    stages: int = 2,
    rows: int | None = None,
    **sass: int,
) -> LaunchRecord:
    """Three loops of 4 warps each, with so many instructions: of two products, of one, and of a producer with `sass`."""
    made = launch(span(scores, products=2), warps=4, stages=stages)
    consumers = RoleRecord(warps=4, loop=span(values, products=1))
    producers = RoleRecord(warps=4, loop=span(fetches, loaded=loaded, **sass))
    assert made.code.products is not None
    stated = {"warps": 4, "tile_flops": 3 * PRODUCT_FLOPS, "rows": rows}
    products = made.code.products.model_copy(update=stated)
    whole = span(scores + values + fetches, products=3, loaded=loaded)
    code = {"roles": [consumers, producers], "products": products, "num_warps": 12, "whole": whole}
    return made.model_copy(update={"code": made.code.model_copy(update=code)})


def inspection(*launches: LaunchRecord, **more: Any) -> Inspection:
    """Of an op that is not known here, unless told otherwise: nothing is padded or read twice."""
    fields: dict[str, Any] = {
        "op": "made", "impl": "triton", "axes": {}, "config": {}, "is_default": True, "outcome": Outcome.COMPILED, "reason": "",
        "output": "", "can_launch": True, "cannot_launch": "", "flags": [], "registers": 100, "spill_bytes": 0, "local_bytes": 0,
        "shared_bytes": 1024, "blocks_per_sm": 1, "useful_fraction": 1.0, "sass": {}, "compile_s": 1.0, "launches": list(launches),
        "same_code_as": None,
    }  # fmt: skip
    return Inspection(**fields | more)
