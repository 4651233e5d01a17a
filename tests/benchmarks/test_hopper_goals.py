from __future__ import annotations

from pathlib import Path

import pytest

from dsabench.autotune.confirm import Entry, comparison
from dsabench.bench.records import Ceilings, Rate, Roofline, WorkloadId, WorkloadRecord
from tests.benchmarks.loading import load
from tests.reports import journals as made

goals = load("hopper_goals")
RATE = {"bf16": 800e12, "fp8": 1500e12, "copy": 4e12, "read": 4e12}
FLOPS = {
    "indexer_logits": 4.0e12,
    "sparse_mla_prefill": 2.3e12,
    "sparse_mla_decode": 146e9,
    "dense_mla_decode": 0,
    "topk_select": 0,
}
BYTES = {"dense_mla_decode": 4_840_000_000}
FULL = {
    "indexer_logits": {"s_q": 4096, "s_kv": 65536, "h": 64},
    "sparse_mla_prefill": {"s_q": 4096, "s_kv": 65536, "h_q": 128, "topk": 2048},
    "sparse_mla_decode": {"b": 128, "s_q": 2, "s_kv": 32768, "h_q": 128, "topk": 2048},
    "dense_mla_decode": {"b": 128, "s_q": 1, "s_kv": 32768, "h_q": 16},
    "topk_select": {"rows": 64, "s_kv": 131072, "k": 2048},
}
# Just within each floor: 60 % of fp8, 400 and 250 TFLOPS, 85 % of copy, twice one read of the logits.
AT_FLOOR = {
    "indexer_logits": 4.0e12 / (0.6 * 1500e12),
    "sparse_mla_prefill": 2.3e12 / 400e12,
    "sparse_mla_decode": 146e9 / 250e12,
    "dense_mla_decode": 4.84e9 / (0.85 * 4e12),
    "topk_select": 2 * 64 * 131072 * 4 / 4e12,
}


def journal(directory: Path, slower: dict[str, float]) -> Path:
    """Every workload of the floors, at 0.99 of the time its floor allows, times what `slower` says."""
    rates = {name: Rate(value=value, median=value, n=4, method="made up") for name, value in RATE.items()}
    records = [
        made.header(made.device("NVIDIA H100 80GB HBM3", "cuda-h100")),
        Ceilings(bandwidth={n: rates[n] for n in ("copy", "read")}, product={n: rates[n] for n in ("bf16", "fp8")}),
    ]
    for number, (op, axes) in enumerate(FULL.items()):
        seconds = 0.99 * AT_FLOOR[op] * slower.get(op, 1.0)
        workload = WorkloadId(key=f"{number:010x}", op=op, axes=axes, distribution="normal", seed=0)
        bound = Roofline(bound_s=seconds / 2, limit="memory", product=None, bandwidth="read", intensity=1.0)
        records.append(
            WorkloadRecord(
                workload=workload, flops=int(FLOPS[op]), compulsory_bytes=BYTES.get(op, 1), gather_bytes=1, input_bytes=1,
                roofline=bound, rows_total=1, rows_checked=1, build_s=0.0,
            )
        )  # fmt: skip
        entries = [Entry("torch", {}, True, 9 * seconds), Entry("triton", {"BLOCK_KV": 64}, True, seconds)]
        rounds = [[9 * seconds] * 9, [seconds] * 9]
        records.append(comparison(workload, entries, rounds, [seconds] * 9, 1, bound.bound_s, 0, "now", 1.0))
    made.write_records(directory, records)
    return directory


def test_floors_that_are_reached(tmp_path, capsys) -> None:
    assert goals.main([journal(tmp_path / "run", {})]) == 0
    text = capsys.readouterr().out
    assert text.count("reached") == 5
    assert "missed" not in text


@pytest.mark.parametrize("op", list(FULL))
def test_each_floor_can_be_missed(tmp_path, capsys, op) -> None:
    assert goals.main([journal(tmp_path / "run", {op: 1.03})]) == 1
    text = capsys.readouterr().out
    assert text.count("reached") == 4
    assert text.count("missed") == 1


def test_what_was_not_measured_is_no_success(tmp_path, capsys) -> None:
    made.write_records(tmp_path / "run", [made.header(made.device())])
    assert goals.main([tmp_path / "run"]) == 1
    assert capsys.readouterr().out.count("not measured") == 5


def test_the_suite_has_every_floor() -> None:
    from dsabench.bench.suites import load_suite

    workloads = [(w.op, w.axis_values) for w in load_suite("hopper").workloads]
    for floor in goals.FLOORS:
        assert any(op == floor.op and floor.axes.items() <= axes.items() for op, axes in workloads), floor
