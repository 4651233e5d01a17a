"""The shapes on which each op's `cpu` implementation is held to the reference, and the loop that does it.

Shapes cover every lane count (16, 32, 64 and groups of 64), heads that fill no vector, odd blocks, one key, odd pages.
"""

from __future__ import annotations

import torch

from dsabench.kernels.implementation import Config
from dsabench.kernels.registry import get_implementation, get_op
from dsabench.kernels.workload import Workload
from tests.kernels.running import poisoned_outputs

SHAPES: dict[str, list[dict[str, int]]] = {
    "indexer_logits": [
        {"s_q": 5, "s_kv": 301, "h": 64},
        {"s_q": 17, "s_kv": 200, "h": 8},
        {"s_q": 3, "s_kv": 1, "h": 16},
        {"s_q": 2, "s_kv": 777, "h": 32, "causal": 0},
    ],
    "paged_indexer_logits": [
        {"b": 2, "next_n": 1, "s_kv": 300, "h": 64},
        {"b": 3, "next_n": 2, "s_kv": 129, "h": 8},
        {"b": 1, "next_n": 2, "s_kv": 1, "h": 16},
        {"b": 1, "next_n": 1, "s_kv": 1000, "h": 32},
    ],
    "topk_select": [
        {"rows": 5, "s_kv": 1000, "k": 64},
        {"rows": 2, "s_kv": 70000, "k": 2048},
        {"rows": 2, "s_kv": 1, "k": 1},
        {"rows": 3, "s_kv": 3000, "k": 2048},
        {"rows": 6, "s_kv": 9000, "k": 4096, "deterministic": 1},
    ],
    "sparse_mla_prefill": [
        {"s_q": 3, "s_kv": 500, "h_q": 1, "topk": 1},
        {"s_q": 3, "s_kv": 500, "h_q": 8, "topk": 64},
        {"s_q": 5, "s_kv": 500, "h_q": 20, "topk": 333},
        {"s_q": 2, "s_kv": 500, "h_q": 80, "topk": 33},
        {"s_q": 2, "s_kv": 500, "h_q": 128, "topk": 130},
    ],
    "sparse_mla_decode": [
        {"b": 2, "s_q": 1, "s_kv": 500, "h_q": 1, "topk": 1, "page": 1},
        {"b": 2, "s_q": 1, "s_kv": 500, "h_q": 8, "topk": 64, "page": 2},
        {"b": 1, "s_q": 2, "s_kv": 500, "h_q": 16, "topk": 333, "page": 53},
        {"b": 5, "s_q": 1, "s_kv": 500, "h_q": 64, "topk": 100, "page": 61},
        {"b": 1, "s_q": 1, "s_kv": 500, "h_q": 128, "topk": 130, "page": 64},
    ],
    "dense_mla_decode": [
        {"b": 2, "s_q": 1, "s_kv": 300, "h_q": 16, "page": 1},
        {"b": 2, "s_q": 2, "s_kv": 301, "h_q": 8, "page": 53, "causal": 1},
        {"b": 5, "s_q": 3, "s_kv": 130, "h_q": 20, "page": 64, "causal": 1},
        {"b": 1, "s_q": 1, "s_kv": 500, "h_q": 128, "page": 61},
    ],
    "dense_mha_prefill": [
        {"s_q": 70, "s_kv": 150, "h_q": 3, "causal": 1},
        {"s_q": 1, "s_kv": 1, "h_q": 1, "causal": 1},
        {"s_q": 130, "s_kv": 131, "h_q": 2, "causal": 0},
        {"s_q": 300, "s_kv": 420, "h_q": 1, "causal": 1},
    ],
}


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
