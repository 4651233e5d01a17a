"""The shapes on which each op's `cpu` implementation is held to the reference (the `verify` suite's), and the loop that does
it. They cover every lane count (16, 32, 64 and groups of 64), heads that fill no vector, odd blocks, one key, odd pages."""

from __future__ import annotations

from dsabench.bench.suites import load_suite
from dsabench.kernels.implementation import Config
from dsabench.kernels.registry import get_implementation, op_names
from tests.kernels.running import check_configs

SHAPES: dict[str, list[dict[str, int]]] = {name: [] for name in op_names()}
for _workload in load_suite("verify").workloads:
    SHAPES[_workload.op].append(_workload.axis_values)


def check_cpu(op_name: str, axes: dict[str, int], distribution: str, configs: list[Config], seed: int) -> int:
    return check_configs(op_name, "cpu", axes, distribution, configs, seed)


def one_at_a_time(op_name: str, impl: str = "cpu") -> list[Config]:
    """The default and every choice of every tunable, changed one at a time."""
    implementation = get_implementation(op_name, impl)
    return [{}] + [{t.name: choice} for t in implementation.tunables for choice in t.choices]


def fallback_configs(op_name: str) -> list[Config]:
    """The default and what a CPU without the vector extensions would run."""
    names = {t.name for t in get_implementation(op_name, "cpu").tunables}
    plain: dict[str, str] = {"MATH": "f32", "DEQUANT": "table", "SCAN": "scalar", "TILE": "6x1"}
    return [{}, {name: value for name, value in plain.items() if name in names}]
