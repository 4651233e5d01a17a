from __future__ import annotations

import time
from dataclasses import replace

import pytest

from dsabench.autotune.budget import Budget, BudgetError, fair_share, parse_duration
from dsabench.autotune.plan import breadth_first, make_plan
from dsabench.bench.device import DeviceError
from dsabench.bench.suites import load_suite
from dsabench.kernels import registry
from dsabench.kernels.op import UnknownNameError
from dsabench.kernels.registry import get_implementation


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h", 3600), ("45", 45), ("0.5", 0.5), (" 2 m ", 120)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["0", "0s", "-5", "five", "5d", "", "5 m s"])
def test_what_is_no_duration_above_0_is_refused(text):
    with pytest.raises(BudgetError):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "claims", "share"),
    [
        (10.0, [(1, 100.0), (1, 100.0)], 5.0),
        (10.0, [(3, 100.0), (1, 100.0)], 7.5),
        (10.0, [(1, 100.0), (1, 2.0)], 8.0),
        (10.0, [(1, 2.0), (1, 100.0)], 5.0),
        (12.0, [(1, 100.0), (1, 3.0), (2, 1.0), (1, 100.0)], 4.0),
        (100.0, [(1, 5.0), (1, 6.0)], 50.0),
        (-3.0, [(1, 5.0)], 0.0),
    ],
)
def test_what_one_search_does_not_need_goes_to_the_others(seconds, claims, share):
    assert fair_share(seconds, claims) == pytest.approx(share)


def test_a_budget_counts_from_where_the_command_began():
    budget = Budget(100.0, time.monotonic() - 40.0)
    assert 40.0 <= budget.used < 60.0
    assert 40.0 < budget.left <= 60.0


def test_every_op_comes_first_once_and_then_in_proportion():
    ordered = breadth_first(load_suite("quick").workloads)
    assert len(ordered) == len(load_suite("quick").workloads)
    ops = {w.op for w in ordered}
    assert {w.op for w in ordered[: len(ops)]} == ops
    half = ordered[: len(ordered) // 2 + 1]
    assert sum(w.op == "topk_select" for w in half) in (3, 4), "an op with more workloads is spread over the run"
    topk = [w.context for w in ordered if w.op == "topk_select" and w.axis_values["rows"] == 1]
    assert topk == [4096, 16384, 65536]


def test_the_baseline_is_measured_but_not_searched_when_only_another_is_asked_for():
    workloads = load_suite("tiny", ops=("indexer_logits",)).workloads
    plan = make_plan(workloads, ["cpu"], "cpu")
    assert {(p.implementation.name, p.search) for p in plan.pairs} == {("cpu", True), ("torch", False)}
    everything = make_plan(workloads, [], "cpu")
    assert all(p.search for p in everything.pairs)


def test_an_unknown_implementation_is_named():
    with pytest.raises(UnknownNameError, match=r"unknown implementation 'cpuu' \(did you mean 'cpu'"):
        make_plan(load_suite("tiny").workloads, ["cpuu"], "cpu")


def test_a_device_without_implementations_leaves_every_op_named():
    plan = make_plan(load_suite("tiny", ops=("topk_select",)).workloads, [], "tpu")
    assert plan.pairs == ()
    assert plan.unavailable == ("topk_select: no implementation for tpu can run here",)


@pytest.fixture(params=["no GPU", "interpreted"])
def kernel(request, monkeypatch):
    """A kernel written for a GPU on a machine without one; with TRITON_INTERPRET=1 it takes CPU tensors."""
    made = replace(
        get_implementation("topk_select", "torch"),
        name="kernel",
        device_types=("cuda",) if request.param == "no GPU" else ("cpu",),
        unavailable=lambda: "needs an NVIDIA GPU" if request.param == "no GPU" else None,
        emulated=lambda: request.param == "interpreted",
        plan=lambda inputs, outputs, config: [],
    )
    monkeypatch.setitem(registry._plugins, ("topk_select", "kernel"), made)


@pytest.mark.usefixtures("kernel")
def test_a_kernel_without_its_gpu_is_never_timed_and_that_is_said():
    workloads = load_suite("tiny", ops=("topk_select", "indexer_logits")).workloads
    for impls in ([], ["kernel", "cpu"]):
        plan = make_plan(workloads, impls, "cpu")
        assert "kernel" not in {p.implementation.name for p in plan.pairs}
        assert "cpu" in {p.implementation.name for p in plan.pairs if p.search}
        (line,) = [line for line in plan.unavailable if line.startswith("kernel ")]
        assert line.startswith("kernel (topk_select): needs an NVIDIA GPU to be timed")


@pytest.mark.usefixtures("kernel")
def test_asking_only_for_a_kernel_without_its_gpu_is_one_clear_error():
    with pytest.raises(DeviceError, match="impl kernel: needs an NVIDIA GPU to be timed") as caught:
        make_plan(load_suite("tiny", ops=("topk_select",)).workloads, ["kernel"], "cpu")
    for command in ("dsabench inspect", "dsabench verify"):
        assert command in str(caught.value)
    assert "\n" not in str(caught.value)


def test_asking_only_for_what_is_unavailable_gives_its_reason(monkeypatch):
    broken = replace(get_implementation("topk_select", "torch"), name="broken", unavailable=lambda: "needs more")
    monkeypatch.setitem(registry._plugins, ("topk_select", "broken"), broken)
    with pytest.raises(DeviceError, match="topk_select/broken: needs more"):
        make_plan(load_suite("tiny", ops=("topk_select",)).workloads, ["broken"], "cpu")
