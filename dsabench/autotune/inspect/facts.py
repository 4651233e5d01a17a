"""One kernel's facts as the record that is kept: what compiling it said and what its machine code holds."""

from __future__ import annotations

from dsabench.autotune.inspect.jobs import Compiled
from dsabench.autotune.inspect.products import count_products
from dsabench.autotune.inspect.sass import Code, Span
from dsabench.bench.inspection_records import CodeRecord, ProductRecord, SpanRecord


def _span(span: Span, warps: int) -> SpanRecord:
    return SpanRecord(
        instructions=span.instructions,
        sass=span.families,
        products=span.products,
        loaded_bytes=span.loaded_bytes * warps,
        shared_bytes=span.shared_bytes * warps,
    )


def code_record(compiled: Compiled, code: Code) -> CodeRecord:
    products = count_products(compiled.products, code, compiled.num_warps)
    return CodeRecord(
        kernel=compiled.kernel,
        num_warps=compiled.num_warps,
        num_stages=compiled.num_stages,
        ptx=compiled.ptx,
        registers=compiled.resources.registers,
        local_bytes=compiled.resources.local_bytes,
        spill_store_bytes=compiled.log.spill_store_bytes,
        spill_load_bytes=compiled.log.spill_load_bytes,
        shared_bytes=compiled.shared_bytes,
        whole=_span(code.whole, compiled.num_warps),
        loop=_span(code.loop, compiled.num_warps) if code.loop else None,
        products=ProductRecord(**vars(products)) if products else None,
        serialized=compiled.log.serialized,
        losses=list(compiled.log.losses),
        compile_s=compiled.compile_s,
    )
