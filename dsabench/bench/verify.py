"""Correctness alone: an implementation's config on a workload, checked and launched again, in a worker.

A case runs where its implementation is at home: on the CPU, on an NVIDIA GPU, or, for a kernel whose GPU is not here, in
Triton's interpreter. Each of these places has a worker of its own, whose environment settles it before torch and Triton are
imported. The interpreter takes seconds for what a GPU does in microseconds, so it gets workloads of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from dsabench.bench.checkup import can_interpret, written_for
from dsabench.bench.device import resolve_device
from dsabench.bench.gpu.compile_cache import compile_environment
from dsabench.bench.gpu.selection import VISIBLE_ENV, gpu_environment, visible_gpus
from dsabench.bench.jobs import Stage, VerifyJob, VerifyOutcome
from dsabench.bench.records import ConfigValues, Status
from dsabench.bench.runtime import Runtime
from dsabench.bench.suites import Suite
from dsabench.bench.trial import Runner, TrialFailed, check_record, kernel_faults
from dsabench.bench.workbench import Benches, byte_count
from dsabench.bench.worker import Worker, WorkerDied, WorkerTimeout
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.registry import get_implementation, get_op, implementation_names
from dsabench.kernels.triton.runtime import INTERPRET_ENV
from dsabench.kernels.workload import Workload

VERIFY_SUITE = "verify"
INTERPRETER_SUITE = "interpreter"
"""What the interpreter runs when no suite is asked for."""
REPEATS = 3
INDEXER_REPEATS = 20
"""Launches that must agree bit for bit; REFERENCE §4 asks 20 of the indexers."""
INTERPRETER_REPEATS = 2
"""The interpreter runs programs one after the other: what repeated launches show on a GPU, a race, cannot happen there."""
INTERPRETER_BYTES = 2 * 2**20
"""Most bytes of inputs and outputs together that the interpreter gets."""

Place = Literal["cpu", "cuda", "interpreter"]


@dataclass(frozen=True)
class VerifyCase:
    """One implementation with one config on one workload, and where it runs."""

    impl: str
    workload: Workload
    config: ConfigValues
    where: Place


@dataclass(frozen=True)
class VerifyResult:
    case: VerifyCase
    outcome: VerifyOutcome


def usable_places(device: str) -> dict[Place, dict[str, str | None]]:
    """Where cases may run, best first, each with what its worker's environment must say (None: must not hold).

    device: `auto` (the GPU where torch can use one, the CPU, the interpreter), `cpu` (CPU and interpreter), `cuda` or `cuda:i`
    (nothing but that GPU). Raises DeviceError when the device is unknown or not here.
    """
    chosen = "cpu" if device == "cpu" else resolve_device(device)
    places: dict[Place, dict[str, str | None]] = {}
    if chosen != "cpu":
        gpu = visible_gpus()[int(chosen.partition(":")[2])]
        places["cuda"] = {**gpu_environment(gpu), **compile_environment()}
    if not device.startswith("cuda"):
        places["cpu"] = {VISIBLE_ENV: "", INTERPRET_ENV: None}
        places["interpreter"] = {VISIBLE_ENV: "", INTERPRET_ENV: "1"}
    return places


def place_of(implementation: Implementation, places: Mapping[Place, object]) -> Place | None:
    """The best of `places` at which an implementation can run; None when there is none."""
    for place in places:
        if place == "interpreter":
            if can_interpret(implementation):
                return place
        elif place in written_for(implementation) and implementation.unavailable() is None:
            return place
    return None


def run_verify(job: VerifyJob, benches: Benches, runtime: Runtime, tell: Callable[[Stage], None]) -> VerifyOutcome:
    """In the worker. The kernel runs before the reference, into poisoned outputs; then it is launched again."""
    tell(Stage("build"))
    bench = benches.get(job.workload)
    runner = Runner(bench, get_implementation(job.workload.op, job.impl), job.config)
    try:
        tell(Stage("run"))
        runner.poison(0)
        with kernel_faults(runtime):
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
            with kernel_faults(runtime):
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
        return VerifyOutcome(failed.status, failed.reason, None, failed.lost)
    return VerifyOutcome(Status.PASSED, "", check_record(check))


@dataclass(frozen=True)
class LeftOut:
    """What was asked for and does not run here (an implementation, or its part on one workload), and why."""

    what: str
    reason: str


@dataclass(frozen=True)
class VerifyPlan:
    """The cases stand place by place."""

    cases: tuple[VerifyCase, ...]
    left_out: tuple[LeftOut, ...]


def interpreter_bytes(workload: Workload) -> int:
    """Bytes of a workload's inputs and outputs: how long an interpreted kernel takes goes with what it loads and stores."""
    op = get_op(workload.op)
    inputs = op.empty_inputs(workload.axis_values, torch.device("meta"))
    return byte_count(inputs) + sum(t.numel() * t.element_size() for t in op.empty_outputs(inputs))


def plan_verify(
    suite: Suite,
    interpreter_suite: Suite,
    impls: tuple[str, ...],
    places: Mapping[Place, Mapping[str, str | None]],
    seed: int,
) -> VerifyPlan:
    """The default config of every implementation that can run at one of the places, on every workload of the suite or, in the
    interpreter, of its own suite; the suites `verify` and `interpreter` are multiplied by every distribution of their ops."""
    cases: list[VerifyCase] = []
    left_out: dict[LeftOut, None] = {}
    for place in places:
        chosen = interpreter_suite if place == "interpreter" else suite
        for workload in chosen.workloads:
            names = _names_at(place, places, workload.op, impls, left_out)
            if names and place == "interpreter" and interpreter_bytes(workload) > INTERPRETER_BYTES:
                what = f"{workload.op}/{', '.join(names)} {workload.label()}"
                reason = f"more than {INTERPRETER_BYTES >> 20} MiB of inputs and outputs, too much for the interpreter"
                left_out[LeftOut(what, reason)] = None
                continue
            for distribution in _distributions(chosen, workload):
                each = replace(workload, distribution=distribution, seed=workload.seed + seed)
                for name in names:
                    config = get_implementation(workload.op, name).default_config(each.axis_values)
                    cases.append(VerifyCase(name, each, config, place))
    return VerifyPlan(tuple(cases), tuple(left_out))


def _names_at(
    place: Place, places: Mapping[Place, object], op: str, impls: tuple[str, ...], left_out: dict[LeftOut, None]
) -> list[str]:
    """The chosen implementations of an op whose best place this is; those that would be, were they not unavailable, are noted."""
    names = []
    for name in implementation_names(op):
        if impls and name not in impls:
            continue
        implementation = get_implementation(op, name)
        best = place_of(implementation, places)
        if best == place:
            names.append(name)
        elif best is None and (place in written_for(implementation) or place == "interpreter"):
            reason = implementation.unavailable()
            if reason:
                left_out[LeftOut(implementation.id, reason)] = None
    return names


def _distributions(suite: Suite, workload: Workload) -> list[str]:
    if suite.name in (VERIFY_SUITE, INTERPRETER_SUITE):
        return list(get_op(workload.op).distributions)
    return [workload.distribution]


def verify(cases: Sequence[VerifyCase], worker: Worker, timeout_s: float) -> Iterator[VerifyResult]:
    """Runs the cases of one place one by one; a worker that crashes or hangs is replaced and its case says so. Raises JobFailed
    when inputs or reference fail, which is no kernel's fault."""
    for case in cases:
        repeats = INDEXER_REPEATS if "indexer" in case.workload.op else REPEATS
        if case.where == "interpreter":
            repeats = INTERPRETER_REPEATS
        job = VerifyJob(case.workload, case.impl, case.config, repeats)
        try:
            outcome = worker.do(job, timeout_s)
        except WorkerDied as died:
            outcome = VerifyOutcome(Status.CRASHED, died.reason, None)
        except WorkerTimeout as late:
            outcome = VerifyOutcome(Status.TIMEOUT, late.reason, None)
        if outcome.lost:
            worker.kill()
        yield VerifyResult(case, outcome)
