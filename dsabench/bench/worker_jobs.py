"""What a worker does with each job, on the one device it is bound to."""

from __future__ import annotations

from collections.abc import Callable

from dsabench.bench.holding import Holder
from dsabench.bench.interleave import run_compare
from dsabench.bench.jobs import (
    CeilingsJob,
    CompareJob,
    DescribeJob,
    HoldJob,
    Job,
    LossJob,
    OffersJob,
    PipelineJob,
    Prepared,
    PrepareJob,
    Result,
    SampleJob,
    SelfCheckJob,
    SelfChecks,
    Stage,
    TrialJob,
    VerifyJob,
)
from dsabench.bench.losses.run import run_losses
from dsabench.bench.offers import find_offers
from dsabench.bench.pipeline.measure import run_pipeline
from dsabench.bench.runtime import open_runtime
from dsabench.bench.selfcheck import run_selfcheck
from dsabench.bench.trial import run_trial
from dsabench.bench.verify import run_verify
from dsabench.bench.workbench import Benches
from dsabench.kernels.registry import load_plugin


class Workshop:
    """Loads the plugins, opens the device, keeps the inputs."""

    def __init__(self, device: str, plugins: tuple[str, ...], tell: Callable[[Stage], None]) -> None:
        for path in plugins:
            load_plugin(path)
        self._runtime = open_runtime(device)
        self._benches = Benches(self._runtime.device, self._runtime.kept_bytes)
        self._holder = Holder(self._benches, self._runtime, tell)
        self._tell = tell

    def do(self, job: Job) -> Result:
        match job:
            case DescribeJob():
                return self._runtime.describe()
            case SelfCheckJob():
                parts = self._runtime.measuring_parts()
                return SelfChecks(parts.device, tuple(run_selfcheck(parts)))
            case CeilingsJob():
                return self._runtime.measure_ceilings(job.seconds)
            case PrepareJob():
                bench = self._benches.get(job.workload)
                return Prepared(bench.cost, bench.input_bytes, bench.rows_total, len(bench.rows), bench.build_s)
            case TrialJob():
                return run_trial(job, self._benches, self._runtime, self._tell)
            case CompareJob():
                return run_compare(job, self._benches, self._runtime, self._tell)
            case VerifyJob():
                return run_verify(job, self._benches, self._runtime, self._tell)
            case LossJob():
                return run_losses(job, self._runtime, self._tell)
            case PipelineJob():
                return run_pipeline(job, self._runtime, self._tell)
            case OffersJob():
                return find_offers(job, self._runtime.device.type)
            case HoldJob():
                return self._holder.hold(job)
            case SampleJob():
                return self._holder.sample(job)
