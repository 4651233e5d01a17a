"""The shapes on which each op's `cpu` implementation is held to the reference (the `verify` suite's), and the loop that does
it. They cover every lane count (16, 32, 64 and groups of 64), heads that fill no vector, odd blocks, one key, odd pages."""

from __future__ import annotations

import torch

from dsabench.bench.suites import load_suite
from dsabench.kernels.implementation import Config
from dsabench.kernels.registry import get_implementation, get_op, op_names
from dsabench.kernels.workload import Workload
from tests.kernels.running import poisoned_outputs

SHAPES: dict[str, list[dict[str, int]]] = {name: [] for name in op_names()}
for _workload in load_suite("verify").workloads:
    SHAPES[_workload.op].append(_workload.axis_values)


def check_cpu(op_name: str, axes: dict[str, int], distribution: str, configs: list[Config], seed: int) -> int:
    """Runs each config (over the default) that is legal at these axes and checks every row. Returns how many ran."""
    op, implementation = get_op(op_name), get_implementation(op_name, "cpu")
    workload = Workload.of(op_name, axes, distribution, seed)
    inputs = workload.make_inputs()
    rows = torch.arange(op.row_count(inputs))
    default = implementation.default_config(workload.axis_values)
    ran, expected = 0, None
    for config in configs:
        full = {**default, **config}
        if implementation.constraint(full, workload.axis_values) is not None:
            continue
        outputs = poisoned_outputs(op, inputs)
        implementation.run(inputs, outputs, full)
        if expected is None:  # after the first run: a reused buffer must not hold the answer
            expected = op.reference(inputs, rows)
        verdict = op.check(inputs, outputs, rows, expected)
        assert verdict.passed, f"{op_name} {workload.label()} {full}: {verdict.reason}"
        ran += 1
    return ran


def one_at_a_time(op_name: str) -> list[Config]:
    """The default and every choice of every tunable, changed one at a time."""
    implementation = get_implementation(op_name, "cpu")
    return [{}] + [{t.name: choice} for t in implementation.tunables for choice in t.choices]


def fallback_configs(op_name: str) -> list[Config]:
    """The default and what a CPU without the vector extensions would run."""
    names = {t.name for t in get_implementation(op_name, "cpu").tunables}
    plain: dict[str, str] = {"MATH": "f32", "DEQUANT": "table", "SCAN": "scalar", "TILE": "6x1"}
    return [{}, {name: value for name, value in plain.items() if name in names}]
