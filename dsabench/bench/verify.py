"""Correctness alone: an implementation's config on a workload, checked and launched again, in the worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch

from dsabench.bench.jobs import Stage, VerifyJob, VerifyOutcome
from dsabench.bench.records import ConfigValues, Status
from dsabench.bench.suites import Suite
from dsabench.bench.trial import Runner, TrialFailed, check_record, kernel_faults
from dsabench.bench.workbench import Benches
from dsabench.bench.worker import Worker, WorkerDied, WorkerTimeout
from dsabench.kernels.registry import get_implementation, get_op, implementation_names
from dsabench.kernels.workload import Workload

VERIFY_SUITE = "verify"
REPEATS = 3
INDEXER_REPEATS = 20
"""Launches that must agree bit for bit; REFERENCE §4 asks 20 of the indexers."""


@dataclass(frozen=True)
class VerifyCase:
    """One implementation with one config on one workload."""

    impl: str
    workload: Workload
    config: ConfigValues


@dataclass(frozen=True)
class VerifyResult:
    case: VerifyCase
    outcome: VerifyOutcome


def run_verify(job: VerifyJob, benches: Benches, tell: Callable[[Stage], None]) -> VerifyOutcome:
    """In the worker. The kernel runs before the reference, into poisoned outputs; then it is launched again."""
    tell(Stage("build"))
    bench = benches.get(job.workload)
    runner = Runner(bench, get_implementation(job.workload.op, job.impl), job.config)
    try:
        tell(Stage("run"))
        runner.poison(0)
        with kernel_faults():
            runner.call(0)
        tell(Stage("reference"))
        bench.expected()
        tell(Stage("check"))
        check = runner.check(0)
        if not check.passed:
            return VerifyOutcome(Status.INCORRECT, check.reason, check_record(check))
        tell(Stage("repeat"))
        first = [output.view(torch.uint8).clone() for output in bench.copies[0].outputs]
        for number in range(2, job.repeats + 1):
            runner.poison(0)
            with kernel_faults():
                runner.call(0)
            now = bench.copies[0].outputs
            if not all(torch.equal(a, b.view(torch.uint8)) for a, b in zip(first, now, strict=True)):
                return VerifyOutcome(
                    Status.INCORRECT,
                    f"launch {number} of {job.repeats} differs from the first in its bits",
                    check_record(check),
                )
    except TrialFailed as failed:
        benches.forget(job.workload)
        return VerifyOutcome(failed.status, failed.reason, None)
    return VerifyOutcome(Status.PASSED, "", check_record(check))


def verify_cases(suite: Suite, impls: tuple[str, ...], device_type: str, seed: int) -> Iterator[VerifyCase]:
    """The default config of every implementation that can run here, on every workload of the suite; the `verify` suite is
    multiplied by every distribution of its op."""
    for workload in suite.workloads:
        op = get_op(workload.op)
        distributions = list(op.distributions) if suite.name == VERIFY_SUITE else [workload.distribution]
        for distribution in distributions:
            each = replace(workload, distribution=distribution, seed=workload.seed + seed)
            for name in implementation_names(workload.op):
                if impls and name not in impls:
                    continue
                implementation = get_implementation(workload.op, name)
                if device_type not in implementation.device_types or implementation.unavailable():
                    continue
                yield VerifyCase(name, each, implementation.default_config(each.axis_values))


def verify(cases: list[VerifyCase], worker: Worker, timeout_s: float) -> Iterator[VerifyResult]:
    """Runs the cases one by one; a worker that crashes or hangs is replaced and its case says so. Raises JobFailed when
    inputs or reference fail, which is no kernel's fault."""
    for case in cases:
        repeats = INDEXER_REPEATS if "indexer" in case.workload.op else REPEATS
        job = VerifyJob(case.workload, case.impl, case.config, repeats)
        try:
            outcome = worker.do(job, timeout_s)
        except WorkerDied as died:
            outcome = VerifyOutcome(Status.CRASHED, died.reason, None)
        except WorkerTimeout as late:
            outcome = VerifyOutcome(Status.TIMEOUT, late.reason, None)
        yield VerifyResult(case, outcome)
