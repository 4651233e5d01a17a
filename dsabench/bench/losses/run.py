"""A loss measurement in the worker."""

from __future__ import annotations

from collections.abc import Callable

from dsabench.bench.jobs import LossJob, LossPoints, Stage, SyntheticInputs
from dsabench.bench.losses.dumps import load_dump
from dsabench.bench.losses.losses import check_ks, measure_losses
from dsabench.bench.losses.structures import make_case
from dsabench.bench.runtime import Runtime


def run_losses(job: LossJob, runtime: Runtime, tell: Callable[[Stage], None]) -> LossPoints:
    """Raises what `check_ks`, `make_case`, `load_dump` and `measure_losses` raise."""
    check_ks(job.ks)
    tell(Stage("build"))
    inputs = job.inputs
    if isinstance(inputs, SyntheticInputs):
        case = make_case(inputs.structure, inputs.context, inputs.queries, inputs.h_q, inputs.seed)
    else:
        case = load_dump(inputs.path)
    return LossPoints(tuple(measure_losses(case, job.ks, runtime.device, lambda text: tell(Stage(text)))))
