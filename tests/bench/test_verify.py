"""Where verify's cases run, what the interpreter gets, and what a run is judged by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dsabench.bench import verify
from dsabench.bench.device import DeviceError
from dsabench.bench.gpu import selection
from dsabench.bench.records import Status
from dsabench.bench.suites import Suite, load_suite
from dsabench.bench.trial import Runner, TrialFailed
from dsabench.bench.verify import (
    INTERPRETER_BYTES,
    interpreter_bytes,
    place_of,
    plan_verify,
    usable_places,
)
from dsabench.bench.workbench import Bench
from dsabench.kernels import registry
from dsabench.kernels.cuda_driver import DriverDevice
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.registry import get_implementation, get_op, implementation_names, op_names
from dsabench.kernels.triton.runtime import interpreting
from dsabench.kernels.workload import Workload

SMALL = Workload.of("topk_select", {"rows": 2, "s_kv": 300, "k": 7})
LARGE = Workload.of("topk_select", {"rows": 64, "s_kv": 65536, "k": 7})
TORCH = get_implementation("topk_select", "torch")
KERNEL = replace(
    TORCH, name="kernel", device_types=("cuda",), plan=lambda inputs, outputs, config: [], emulated=interpreting
)
ALL = {"cuda": {}, "cpu": {}, "interpreter": {}}
NO_GPU = {"cpu": {}, "interpreter": {}}


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Implementation:
    """A GPU's kernel joins the implementations of topk_select, on a machine without one."""
    made = replace(KERNEL, unavailable=lambda: "needs an NVIDIA GPU")
    monkeypatch.setitem(registry._plugins, ("topk_select", "kernel"), made)
    return made


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two GPUs that torch can use, and a process that Triton does not interpret."""
    monkeypatch.delenv("TRITON_INTERPRET")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    devices = [DriverDevice("NVIDIA H100 80GB HBM3", uuid, 132, (9, 0)) for uuid in ("a", "b")]
    monkeypatch.setattr(selection, "driver_devices", lambda: devices)


@pytest.mark.parametrize(
    ("implementation", "places", "where"),
    [
        (KERNEL, ALL, "cuda"),
        (KERNEL, NO_GPU, "interpreter"),
        (KERNEL, {"cuda": {}}, "cuda"),
        (replace(KERNEL, unavailable=lambda: "this GPU is sm_80"), ALL, "interpreter"),
        (replace(KERNEL, unavailable=lambda: "this GPU is sm_80"), {"cuda": {}}, None),
        # As TRITON_INTERPRET=1 makes it: the CPU is its device, but only in the interpreter.
        (replace(KERNEL, device_types=("cpu",), emulated=lambda: True), NO_GPU, "interpreter"),
        (replace(KERNEL, emulated=lambda: False), ALL, "cuda"),  # of a language that nothing interprets
        (replace(KERNEL, emulated=lambda: False), NO_GPU, None),
        (TORCH, ALL, "cuda"),
        (TORCH, NO_GPU, "cpu"),
        (get_implementation("topk_select", "cpu"), ALL, "cpu"),
        (get_implementation("topk_select", "cpu"), {"cuda": {}}, None),
    ],
)
def test_each_implementation_runs_at_its_best_place(
    implementation: Implementation, places: dict[Any, Any], where: str | None
) -> None:
    assert place_of(implementation, places) == where


@pytest.mark.usefixtures("gpus")
def test_a_gpu_comes_first_and_its_worker_sees_no_other() -> None:
    assert list(usable_places("auto")) == ["cuda", "cpu", "interpreter"]
    assert list(usable_places("cpu")) == ["cpu", "interpreter"]
    assert list(usable_places("cuda:1")) == ["cuda"]
    second = usable_places("cuda:1")["cuda"]
    assert second["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    assert second["TRITON_INTERPRET"] is None
    assert second["TRITON_CACHE_DIR"], "where tune's kernels are compiled to"
    assert usable_places("auto")["cuda"]["CUDA_VISIBLE_DEVICES"] == "GPU-a"
    assert usable_places("cpu")["interpreter"] == {"CUDA_VISIBLE_DEVICES": "", "TRITON_INTERPRET": "1"}
    assert usable_places("cpu")["cpu"] == {"CUDA_VISIBLE_DEVICES": "", "TRITON_INTERPRET": None}
    with pytest.raises(DeviceError, match=r"device cuda:2: there is no such GPU here"):
        usable_places("cuda:2")


@pytest.mark.usefixtures("gpus")
def test_a_process_that_interprets_uses_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert list(usable_places("auto")) == ["cpu", "interpreter"]
    with pytest.raises(DeviceError, match="TRITON_INTERPRET is set"):
        usable_places("cuda")


@pytest.mark.usefixtures("kernel")
def test_without_a_gpu_its_kernels_get_the_interpreters_suite() -> None:
    normal, tiny = Suite("normal", "", (LARGE,)), Suite("interpreter", "", (SMALL,))
    plan = plan_verify(normal, tiny, ("cpu", "kernel"), NO_GPU, seed=3)
    on_cpu = [case for case in plan.cases if case.where == "cpu"]
    assert [(case.impl, case.workload) for case in on_cpu] == [("cpu", replace(LARGE, seed=3))]
    interpreted = [case for case in plan.cases if case.where == "interpreter"]
    assert {case.impl for case in interpreted} == {"kernel"}
    assert [case.workload.distribution for case in interpreted] == list(get_op("topk_select").distributions)
    assert plan.left_out == ()


@pytest.mark.usefixtures("kernel")
def test_the_interpreter_leaves_large_workloads_out_and_says_so() -> None:
    suite = Suite("mine", "", (SMALL, LARGE))
    plan = plan_verify(suite, suite, ("kernel",), NO_GPU, seed=0)
    assert [case.workload for case in plan.cases] == [SMALL]
    (left,) = plan.left_out
    assert left.what == f"topk_select/kernel {LARGE.label()}"
    assert "2 MiB" in left.reason
    assert {case.workload for case in plan_verify(suite, suite, ("cpu",), NO_GPU, seed=0).cases} == {SMALL, LARGE}


@pytest.mark.usefixtures("kernel")
def test_what_cannot_run_is_left_out_by_name() -> None:
    suite = Suite("mine", "", (SMALL,))
    plan = plan_verify(suite, suite, ("kernel", "cpu"), {"cuda": {}}, seed=0)
    assert plan.cases == ()
    assert [(left.what, left.reason) for left in plan.left_out] == [("topk_select/kernel", "needs an NVIDIA GPU")]


def test_without_triton_its_kernels_are_left_out(kernel: Implementation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "can_interpret", lambda implementation: False)
    suite = Suite("mine", "", (SMALL,))
    assert [left.what for left in plan_verify(suite, suite, ("kernel",), NO_GPU, seed=0).left_out] == [kernel.id]


def test_the_interpreters_suite_has_every_op_and_is_tiny() -> None:
    workloads = load_suite("interpreter").workloads
    assert {w.op for w in workloads} == set(op_names())
    for workload in workloads:
        assert interpreter_bytes(workload) <= INTERPRETER_BYTES, workload.label()
        axes = workload.axis_values
        assert axes["s_kv"] <= 1024
        assert axes.get("topk", 0) <= 256
        assert axes.get("s_q", 1) * axes.get("b", 1) * axes.get("next_n", 1) <= 100
    assert interpreter_bytes(LARGE) == 64 * 65536 * 4 + 2 * 64 * 4 + 64 * 7 * 4


def test_every_triton_kernel_is_interpreted_here() -> None:
    suite, tiny = load_suite("verify"), load_suite("interpreter")
    cases = plan_verify(suite, tiny, (), NO_GPU, seed=0).cases
    interpreted = {(c.workload.op, c.impl) for c in cases if c.where == "interpreter"}
    assert interpreted == {(op, "triton") for op in op_names() if "triton" in implementation_names(op)}
    assert {c.impl for c in cases if c.where == "cpu"} == {"cpu", "torch"}


def right(inputs: Any, outputs: Any, config: Any) -> None:
    rows = torch.arange(get_op("topk_select").row_count(inputs))
    outputs[0].copy_(get_op("topk_select").reference(inputs, rows)[0])


def a_runner(run: Any) -> Runner:
    return Runner(Bench(SMALL, torch.device("cpu")), replace(TORCH, run=run), {})


def test_a_kernel_that_leaves_rows_unwritten_is_wrong() -> None:
    runner = a_runner(lambda inputs, outputs, config: None)
    right(runner.bench.inputs, runner.bench.copies[0].outputs, {})  # what stood there before must not count
    runner.poison(0)
    runner.call(0)
    assert not runner.check(0).passed


def test_a_kernel_that_writes_into_its_inputs_is_wrong() -> None:
    def scribbling(inputs: Any, outputs: Any, config: Any) -> None:
        right(inputs, outputs, config)
        inputs.logits[0, 0] += 1.0

    runner = a_runner(scribbling)
    runner.poison(0)
    runner.call(0)
    with pytest.raises(TrialFailed, match="wrote into its input 'logits'") as caught:
        runner.check(0)
    assert caught.value.status is Status.INCORRECT
