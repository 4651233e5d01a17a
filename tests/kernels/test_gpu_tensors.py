"""What a trial does around a kernel, with inputs and outputs on a GPU: on tensors that pretend to be there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from dsabench.bench.runtime import CopyRoom
from dsabench.bench.suites import load_suite
from dsabench.bench.trial import Runner, TrialFailed
from dsabench.bench.workbench import Bench, Benches, poison, tensors_of
from dsabench.kernels.op import Outputs
from dsabench.kernels.registry import get_implementation, get_op, op_names
from dsabench.kernels.workload import Workload
from tests.kernels.running import legal_configs, one_torch_thread  # noqa: F401
from tests.pretend_cuda import PretendCuda, pretend_cuda

CUDA = torch.device("cuda")
SLOW = {"far_blocks"}
"""copies two GB: what it adds is a kernel's affair"""

TINY = load_suite("interpreter").workloads
CASES = [
    replace(workload, distribution=distribution)
    for workload in TINY
    for distribution in get_op(workload.op).distributions
    if distribution not in SLOW
]
FIRST = [next(workload for workload in TINY if workload.op == op) for op in op_names()]
DETERMINISTIC = next(workload for workload in TINY if workload.axis_values.get("deterministic"))


@pytest.fixture(autouse=True)
def cuda() -> Iterator[None]:
    with pretend_cuda():
        yield


def run_torch(bench: Bench) -> Outputs:
    implementation = get_implementation(bench.op.name, "torch")
    poison(bench.copies[0].outputs)
    config = implementation.default_config(bench.workload.axis_values)
    implementation.run(bench.inputs, bench.copies[0].outputs, config)
    return bench.copies[0].outputs


@pytest.mark.parametrize("workload", CASES, ids=lambda w: f"{w.op} {w.label()}")
def test_a_bench_on_a_gpu_judges_what_a_kernel_left_there(workload: Workload) -> None:
    home, bench = Bench(workload, torch.device("cpu")), Bench(workload, CUDA)
    built = tensors_of(bench.inputs)
    assert all(isinstance(tensor, PretendCuda) for tensor in (*built.values(), *bench.copies[0].outputs))
    assert (bench.fingerprint, bench.cost, bench.rows_total) == (home.fingerprint, home.cost, home.rows_total)
    assert torch.equal(bench.rows, home.rows)

    poison(bench.copies[0].outputs)
    unwritten = bench.check(bench.copies[0].outputs)
    assert not unwritten.passed
    assert unwritten.reason

    verdict = bench.check(run_torch(bench))
    assert verdict.passed, verdict.reason
    assert bench.changed_input() == ""
    for expected, at_home in zip(bench.expected(), home.expected(), strict=True):
        assert expected.device.type == "cpu"
        torch.testing.assert_close(expected, at_home, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("workload", [*FIRST, DETERMINISTIC], ids=lambda w: f"{w.op} {w.label()}")
def test_every_config_of_torch_runs_on_a_gpu(workload: Workload) -> None:
    bench = Bench(workload, CUDA)
    implementation = get_implementation(workload.op, "torch")
    for config in legal_configs(bench.op, implementation, bench.inputs):
        poison(bench.copies[0].outputs)
        if config.get("CALL") == "sdpa":
            with pytest.raises(ValueError, match="CALL = sdpa runs on the CPU only"):
                implementation.run(bench.inputs, bench.copies[0].outputs, config)
            continue
        implementation.run(bench.inputs, bench.copies[0].outputs, config)
        verdict = bench.check(bench.copies[0].outputs)
        assert verdict.passed, f"{config}: {verdict.reason}"


def spoil(op: str, outputs: Outputs) -> str:
    """Makes one row wrong; returns what the check must say."""
    if op == "topk_select":
        outputs[0][-1, 0] = outputs[0][-1, 1]
        return "indices: row 1 holds column .* more than once"
    if "indexer" in op:
        outputs[0][-1, 0] += 1.0
        return rf"logits: row {len(outputs[0]) - 1}, column 0: got .* of the row's span"
    if op in ("quantize_kv_cache", "quantize_index_cache"):
        outputs[0].bitwise_xor_(1)
        return "cache: checked row 0 in slot .*, code 0: got .* bytes differ"
    if op == "dequantize_kv_cache":
        outputs[0][-1, 0] += 1.0
        return f"kv: checked row {len(outputs[0]) - 1} of slot .*, dim 0: got .* .1 numbers differ"
    outputs[0].flatten(0, -2)[-1] += 1.0
    return "out: checked row"


@pytest.mark.parametrize("workload", FIRST, ids=lambda w: w.op)
def test_one_wrong_row_on_a_gpu_is_found(workload: Workload) -> None:
    bench = Bench(workload, CUDA)
    outputs = run_torch(bench)
    reason = spoil(workload.op, outputs)
    verdict = bench.check(outputs)
    assert not verdict.passed
    assert re.search(reason, verdict.reason), verdict.reason


@pytest.mark.parametrize("deterministic", [0, 1])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda indices: indices[0].fill_(-1), "of 64 to select is -1"),
        (lambda indices: indices[1].copy_(torch.arange(64)), "row 1 selects column .* and leaves .* higher scores"),
    ],
)
def test_a_wrong_selection_on_a_gpu_is_found(change: Any, reason: str, deterministic: int) -> None:
    axes = {"rows": 2, "s_kv": 300, "k": 64, "deterministic": deterministic}
    bench = Bench(Workload.of("topk_select", axes), CUDA)
    outputs = run_torch(bench)
    change(outputs[0])
    verdict = bench.check(outputs)
    assert not verdict.passed
    assert re.search(reason, verdict.reason), verdict.reason


def test_logits_on_a_gpu_are_held_to_the_accuracy_of_its_fp8_products() -> None:
    workload = next(workload for workload in FIRST if workload.op == "indexer_logits")
    for device, limit in ((torch.device("cpu"), "2e-05"), (CUDA, "0.0005")):
        bench = Bench(workload, device)
        assert f"by more than {limit} of the row's span" in bench.check(run_torch(bench)).rule


@pytest.mark.parametrize("workload", FIRST, ids=lambda w: w.op)
def test_copies_for_rotation_stand_on_the_gpu(workload: Workload) -> None:
    bench = Bench(workload, CUDA)
    room = CopyRoom(touch_bytes=2 * bench.cost.compulsory_bytes, room_bytes=2**30, most=8, few=2)
    assert bench.rotate(room)
    assert len(bench.copies) == 3
    assert bench.changed_input(2) == ""
    for name, tensor in tensors_of(bench.copies[2].inputs).items():
        assert isinstance(tensor, PretendCuda)
        assert tensor.data_ptr() != tensors_of(bench.inputs)[name].data_ptr()
    name, first = next(iter(tensors_of(bench.copies[2].inputs).items()))
    first.view(torch.uint8)[0] ^= 1
    assert bench.changed_input(2) == name
    assert bench.changed_input(0) == ""


def test_benches_keep_what_was_built_on_the_gpu() -> None:
    benches = Benches(CUDA, kept_bytes=2**30)
    bench = benches.get(FIRST[0])
    assert benches.get(FIRST[0]) is bench
    assert benches.device == CUDA
    benches.forget(FIRST[0])
    assert benches.get(FIRST[0]) is not bench


def test_a_kernel_that_writes_into_its_inputs_on_the_gpu_fails() -> None:
    bench = Bench(FIRST[0], CUDA)
    torch_one = get_implementation(bench.op.name, "torch")

    def scribbling(inputs: Any, outputs: Any, config: Any) -> None:
        torch_one.run(inputs, outputs, config)
        inputs.weights[0, 0] += 1.0

    config = torch_one.default_config(bench.workload.axis_values)
    runner = Runner(bench, replace(torch_one, run=scribbling), config)
    runner.call(0)
    with pytest.raises(TrialFailed, match="wrote into its input 'weights'"):
        runner.check(0)
