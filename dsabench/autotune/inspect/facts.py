"""One kernel's facts as the record that is kept: what compiling it said and what its machine code holds."""

from __future__ import annotations

from dsabench.autotune.inspect.jobs import Compiled
from dsabench.autotune.inspect.products import SourceProducts, count_products
from dsabench.autotune.inspect.sass import Code, Span
from dsabench.bench.inspection_records import CodeRecord, ProductRecord, RoleRecord, SpanRecord
from dsabench.kernels.cuda.source import Products


def _span(span: Span, warps: int) -> SpanRecord:
    return SpanRecord(
        instructions=span.instructions,
        sass=span.families,
        products=span.products,
        loaded_bytes=span.loaded_bytes * warps,
        shared_bytes=span.shared_bytes * warps,
    )


def roles_of(known: SourceProducts | None, code: Code, warps: int) -> list[RoleRecord]:
    """The loops that run beside the main loop, by what the author says: those with products share the warps that are neither the
    main loop's nor producers, the one without is the producers'. warps: of a block. Empty where no role is stated."""
    if not isinstance(known, Products):
        return []
    consuming = [span for span in code.beside if span.products]
    producing = [span for span in code.beside if not span.products]
    others = warps - known.warps - known.producers
    found = []
    if known.tile_flops > known.useful_flops and others >= len(consuming) > 0:
        found += [(span, others // len(consuming)) for span in consuming]
    if known.producers:
        found += [(span, known.producers) for span in producing]
    return [RoleRecord(warps=its, loop=_span(span, its)) for span, its in found]


def code_record(compiled: Compiled, code: Code) -> CodeRecord:
    """Where warps have roles, code outside of their loops counts for as many warps as run the main loop: most of it is the prologue
    or epilogue of one role."""
    products = count_products(compiled.products, code, compiled.num_warps)
    roles = roles_of(compiled.products, code, compiled.num_warps)
    warps = products.warps if roles and products and products.warps else compiled.num_warps
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
        whole=_span(code.whole, warps),
        loop=_span(code.loop, warps) if code.loop else None,
        roles=roles,
        products=ProductRecord(**vars(products)) if products else None,
        serialized=compiled.log.serialized,
        losses=list(compiled.log.losses),
        compile_s=compiled.compile_s,
    )
