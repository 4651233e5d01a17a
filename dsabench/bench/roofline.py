"""The least time a workload can take on this machine, and whether a measured time is possible at all."""

from __future__ import annotations

from dsabench.bench.records import Ceilings, Roofline, Timing
from dsabench.kernels.op import Cost

CEILING_MARGIN = 1.05
"""Two measurements of one ceiling on a shared machine differ by up to 5 %; only below bound / 1.05 is a time impossible."""

_PRODUCTS = {"fp8": ("fp8", "bf16", "f32"), "bf16": ("bf16", "f32")}


def roofline(cost: Cost, ceilings: Ceilings) -> Roofline:
    """max(flops / product rate, compulsory bytes / bandwidth). The product rate is the fastest of the dtypes in which the
    op's products may run and of which the ceiling was measured; the bandwidth is the faster of read and copy."""
    bandwidth, rate = max(((name, r.value) for name, r in ceilings.bandwidth.items()), key=lambda pair: pair[1])
    memory_s = cost.compulsory_bytes / rate
    product, compute_s = None, 0.0
    if cost.flops and cost.product_dtype:
        known = [
            (name, ceilings.product[name].value) for name in _PRODUCTS[cost.product_dtype] if name in ceilings.product
        ]
        product, peak = max(known, key=lambda pair: pair[1])
        compute_s = cost.flops / peak
    return Roofline(
        bound_s=max(memory_s, compute_s),
        limit="compute" if compute_s > memory_s else "memory",
        product=product,
        bandwidth=bandwidth,
        intensity=cost.flops / cost.compulsory_bytes if cost.compulsory_bytes else 0.0,
    )


def impossible(timing: Timing, bound: Roofline) -> str:
    """ "" when the time is possible, else why not: the whole interval of the median lies below the roofline less its margin."""
    floor = bound.bound_s / CEILING_MARGIN
    if timing.high_s >= floor:
        return ""
    ceiling = f"{bound.product} product rate" if bound.limit == "compute" else f"{bound.bandwidth} bandwidth"
    return (
        f"measured {timing.median_s:.4g} s (at most {timing.high_s:.4g} s), but the measured {ceiling} allows no less than "
        f"{bound.bound_s:.4g} s (margin {CEILING_MARGIN:g}): a measuring error, or a kernel that leaves work out"
    )
