"""What a trial says of a kernel that does not fill its outputs."""

from __future__ import annotations

import pytest
import torch

from dsabench.bench.faults import python_fault
from dsabench.bench.records import Status
from dsabench.bench.trial import Runner, TrialFailed
from dsabench.bench.workbench import Bench
from dsabench.kernels.implementation import Implementation
from dsabench.kernels.plugin import WrongOutputsError
from dsabench.kernels.workload import Workload

PREFILL = Workload.of("sparse_mla_prefill", {"s_q": 1, "s_kv": 64, "h_q": 8, "topk": 16}, "normal", 0)


def runner(run) -> Runner:
    bench = Bench(PREFILL, torch.device("cpu"))
    made = Runner(bench, Implementation("sparse_mla_prefill", "mine", "", ("cpu",), (), lambda axes: {}, run), {})
    made.poison(0)
    made.call(0)
    return made


def test_an_output_that_was_not_written_is_named():
    def lse_alone(inputs, outputs, config):
        outputs[1].zero_()

    assert runner(lambda *_: None).check(0).reason.startswith("nothing was written to output 'out'; ")
    assert runner(lse_alone).check(0).reason.startswith("nothing was written to output 'out'; ")
    wrong = runner(lambda inputs, outputs, config: [output.zero_() for output in outputs]).check(0)
    assert not wrong.passed
    assert "nothing was written" not in wrong.reason


def test_an_output_of_another_shape_is_wrong():
    def reshaped(inputs, outputs, config):
        outputs[0].resize_(2, 8, 512)

    with pytest.raises(
        TrialFailed, match=r"gave its output 'out' the shape \[2, 8, 512\], not \[1, 8, 512\]"
    ) as caught:
        runner(reshaped).check(0)
    assert caught.value.status is Status.INCORRECT


def test_returned_results_are_a_wrong_result_and_no_failed_launch():
    fault = python_fault(WrongOutputsError("it returned float32 [2]"))
    assert (fault.status, fault.reason) == (Status.INCORRECT, "it returned float32 [2]")
