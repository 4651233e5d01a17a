"""A synthetic journal of a GPU: real configs of the indexers' Triton kernels, times that nobody measured."""

from __future__ import annotations

import random
from pathlib import Path

from dsabench.autotune.predict.expected import expected_cost
from dsabench.bench.gpu.vendor import get_chip
from dsabench.bench.records import (
    Ceilings,
    Conditions,
    ConfigValues,
    DeviceRecord,
    Rate,
    Record,
    Roofline,
    Spread,
    Status,
    Trial,
    WorkloadId,
    WorkloadRecord,
)
from dsabench.kernels.registry import get_implementation
from dsabench.kernels.source_hash import source_hash
from dsabench.kernels.workload import Workload
from tests.reports.journals import header, timing, write_records

WORKLOADS = (
    Workload.of("indexer_logits", {"s_q": 4096, "s_kv": 16384, "h": 64}),
    Workload.of("paged_indexer_logits", {"b": 64, "s_kv": 32768, "h": 64}),
)
CLOCK_MHZ = 1600.0


def device() -> DeviceRecord:
    return DeviceRecord(
        type="cuda", key="gpu-synthetic", name="Synthetic H100", cores=132, isa=["9.0"], memory_bytes=80 << 30,
        last_level_cache_bytes=50 << 20, threads=1, details={},
    )  # fmt: skip


def ceilings() -> Ceilings:
    def rate(value: float) -> Rate:
        return Rate(value=value, median=value, n=9, method="made")

    return Ceilings(
        bandwidth={"read": rate(3.0e12), "copy": rate(2.9e12)}, product={"bf16": rate(800e12), "fp8": rate(1500e12)},
        gather={"656": rate(5e12), "1152": rate(5.5e12)}, vendor=get_chip("h100"),
    )  # fmt: skip


def workload_id(workload: Workload) -> WorkloadId:
    return WorkloadId(
        key=workload.key,
        op=workload.op,
        axes=workload.axis_values,
        distribution=workload.distribution,
        seed=workload.seed,
    )


def workload_record(workload: Workload) -> WorkloadRecord:
    cost = expected_cost(workload.op, workload.axis_values)
    assert cost is not None
    return WorkloadRecord(
        workload=workload_id(workload), flops=cost.flops, compulsory_bytes=cost.compulsory_bytes,
        gather_bytes=cost.gather_bytes, product_dtype=cost.product_dtype, input_bytes=cost.compulsory_bytes,
        roofline=Roofline(bound_s=1e-4, limit="compute", product="fp8", bandwidth="read", intensity=1.0), rows_total=64,
        rows_checked=64, build_s=0.1,
    )  # fmt: skip


def configs(workload: Workload, number: int) -> list[ConfigValues]:
    """The first legal configs of the Triton implementation."""
    implementation = get_implementation(workload.op, "triton")
    legal = [c for c in implementation.configs() if implementation.constraint(c, workload.axis_values) is None]
    return [dict(config) for config in legal[:number]]


def trial(number: int, workload: Workload, config: ConfigValues, seconds: float, **more: object) -> Trial:
    conditions = Conditions(
        readings=3, sm_mhz=Spread(low=CLOCK_MHZ, median=CLOCK_MHZ, high=CLOCK_MHZ), memory_mhz=None, power_w=None,
        temperature_c=None, throttled={}, regime="burst",
    )  # fmt: skip
    timed = timing(seconds, random.Random(number)).model_copy(update={"clock": "cuda_graph", "conditions": conditions})
    fields: dict[str, object] = {
        "number": number, "op": workload.op, "impl": "triton", "workload": workload_id(workload), "config": config,
        "is_default": False, "source": source_hash(workload.op, "triton"), "rung": 0, "status": Status.PASSED, "reason": "",
        "describe": "", "compile_s": 1.0, "check": None, "timing": timed, "roofline_fraction": 0.5, "peak_extra_bytes": None,
        "started": "2026-01-02T03:04:05+00:00", "duration_s": 1.0,
    }  # fmt: skip
    return Trial(**fields | more)  # type: ignore[arg-type]


def trials(numbers: tuple[int, int] = (8, 3)) -> list[Trial]:
    """So many of each workload; the slower the later."""
    made = []
    for workload, number in zip(WORKLOADS, numbers, strict=True):
        for place, config in enumerate(configs(workload, number)):
            made.append(trial(len(made) + 1, workload, config, 1e-3 * (1 + 0.3 * place)))
    return made


def records(timed: list[Trial]) -> list[Record]:
    return [header(device()), ceilings(), *(workload_record(workload) for workload in WORKLOADS), *timed]


def write(directory: Path, timed: list[Trial]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return write_records(directory, records(timed))
