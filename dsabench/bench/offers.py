"""Which implementations of the kernels at hand can run some workloads on a device, as a worker answers it."""

from __future__ import annotations

from dsabench.bench.jobs import Offer, Offers, OffersJob
from dsabench.kernels.op import UnknownNameError
from dsabench.kernels.registry import get_implementation, implementation_names, op_names
from dsabench.kernels.source_hash import source_hash

BASELINE = "torch"
"""Left out unless asked for: what ours is measured against is not what a commit of ours slows down."""


def find_offers(job: OffersJob, device_type: str) -> Offers:
    """With each implementation's stated default config: what a tuned table of this machine adds would differ from one machine to
    the next, and is void as soon as a source changes. An op or implementation that these kernels do not have offers nothing."""
    offers, left_out = [], {}
    for workload in job.workloads:
        if workload.op not in op_names():
            continue
        for name in implementation_names(workload.op):
            if name not in job.impls if job.impls else name == BASELINE:
                continue
            implementation = get_implementation(workload.op, name)
            if device_type not in implementation.device_types or implementation.emulated():
                continue
            axes = workload.axis_values
            config = implementation.default_config(axes)
            reason = implementation.unavailable() or implementation.constraint(config, axes)
            if reason:
                left_out[implementation.id] = reason
                continue
            offers.append(Offer(workload, name, config, _source(workload.op, name)))
    return Offers(tuple(offers), left_out)


def _source(op: str, impl: str) -> str:
    try:
        return source_hash(op, impl)
    except (UnknownNameError, ValueError):
        return ""
