"""Runs an implementation as a trial does: outputs poisoned with 0x7f bytes (NaN) first, the reference after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from dsabench.kernels.implementation import Config, Implementation
from dsabench.kernels.op import Check, Op, Outputs
from dsabench.kernels.registry import get_implementation, get_op
from dsabench.kernels.workload import Workload


@pytest.fixture(autouse=True)
def one_torch_thread() -> Iterator[None]:
    """For a conftest: thousands of tiny torch calls, whose threads wait by spinning. On two cores that others use too the
    tests of one implementation took 52 s with two threads and 7 s with one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def poisoned_outputs(op: Op, inputs: Any) -> Outputs:
    outputs = op.empty_outputs(inputs)
    for output in outputs:
        output.view(torch.uint8).fill_(0x7F)
    return outputs


def run_poisoned(op: Op, implementation: Implementation, inputs: Any, config: Config | None = None) -> Outputs:
    outputs = poisoned_outputs(op, inputs)
    full = implementation.check_config(config or {}, op.axes_of(inputs))
    implementation.run(inputs, outputs, full)
    return outputs


def check_all_rows(op: Op, inputs: Any, outputs: Outputs) -> Check:
    rows = torch.arange(op.row_count(inputs))
    return op.check(inputs, outputs, rows, op.reference(inputs, rows))


def legal_configs(op: Op, implementation: Implementation, inputs: Any) -> list[Config]:
    axes = op.axes_of(inputs)
    return [config for config in implementation.configs() if implementation.constraint(config, axes) is None]


def check_configs(
    op_name: str, impl: str, axes: dict[str, int], distribution: str, configs: list[Config], seed: int
) -> int:
    """Runs each config (over the default) that is legal at these axes, equal ones once, and checks every row. Returns how many are
    legal."""
    op, implementation = get_op(op_name), get_implementation(op_name, impl)
    workload = Workload.of(op_name, axes, distribution, seed)
    inputs = workload.make_inputs()
    rows = torch.arange(op.row_count(inputs))
    default = implementation.default_config(workload.axis_values)
    legal, expected = 0, None
    done: list[Config] = []
    for config in configs:
        full = {**default, **config}
        if implementation.constraint(full, workload.axis_values) is not None:
            continue
        legal += 1
        if full in done:
            continue
        done.append(full)
        outputs = poisoned_outputs(op, inputs)
        implementation.run(inputs, outputs, full)
        if expected is None:  # after the first run: a reused buffer must not hold the answer
            expected = op.reference(inputs, rows)
        verdict = op.check(inputs, outputs, rows, expected)
        assert verdict.passed, f"{op_name}/{impl} {workload.label()} {full}: {verdict.reason}"
    return legal
