"""A machine with one Hopper GPU that is not there: loaded into a worker it takes the place of the GPU's runtime, and registers a
top-k `gpu` whose FAULT goes wrong as kernels on a GPU do.

Tensors stand on the CPU. What is simulated is the process boundary: an illegal access surfaces at the next wait for the device and
in every call after it, a hang never returns, exhausted memory is torch's own error.
"""

from __future__ import annotations

import os
import time

import torch

import dsabench.bench.gpu.runtime as gpu_runtime
from dsabench.bench.cpu_runtime import CpuRuntime
from dsabench.bench.faults import Fault
from dsabench.bench.gpu.faults import cuda_fault
from dsabench.bench.records import Ceilings, Conditions, DeviceRecord, Rate, Spread
from dsabench.bench.runtime import Timed
from dsabench.kernels.implementation import Implementation, Tunable
from dsabench.kernels.registry import get_op, register
from tests.autotune import planned_plugin
from tests.autotune.simulated_machine import NAME

OP = "topk_select"
FAULTS = ("none", "illegal", "hangs", "memory", "refused", "throttled")
ILLEGAL = "CUDA error: an illegal memory access was encountered\nCompile with TORCH_USE_CUDA_DSA"
_state = {"context": "", "throttled": False}


class AcceleratorError(RuntimeError):
    """As torch names it."""


class OutOfResources(Exception):  # noqa: N818 - as Triton names it
    pass


def check_context() -> None:
    if _state["context"]:
        raise AcceleratorError(_state["context"])


class SimulatedGpuRuntime(CpuRuntime):
    def describe(self) -> DeviceRecord:
        assert os.environ["CUDA_VISIBLE_DEVICES"].startswith("GPU-"), "pinned by its UUID"
        assert os.environ["TRITON_CACHE_DIR"], "the cache of what is compiled ahead"
        return DeviceRecord(
            type="cuda", key="cuda-simulated-132sm", name=NAME, cores=132, isa=["sm_90"], memory_bytes=80 << 30,
            last_level_cache_bytes=50 << 20, threads=2, details={"driver": "580.0"},
        )  # fmt: skip

    def measure_ceilings(self, seconds: float) -> Ceilings:
        rate = Rate(value=3e12, median=3e12, n=4, method="simulated")
        return Ceilings(bandwidth={"copy": rate}, product={"bf16": rate, "fp8": rate}, gather={"656": rate})

    def time(self, call, rotation, policy, rotated: bool, planned: bool) -> Timed:
        check_context()
        timed = super().time(call, rotation, policy, rotated, planned)
        reasons = {"sw_power_cap": timed.cold.n} if _state["throttled"] else {}
        clock = Spread(low=1200.0, median=1500.0, high=1980.0)
        conditions = Conditions(
            readings=3,
            sm_mhz=clock,
            memory_mhz=None,
            power_w=None,
            temperature_c=None,
            throttled=reasons,
            regime="burst",
        )
        _state["throttled"] = False
        cold = timed.cold.model_copy(update={"clock": "cuda_graph", "conditions": conditions})
        return Timed(cold, cold.model_copy(update={"inputs": "warm"}), timed.note)

    def synchronize(self) -> None:
        check_context()

    def classify(self, error: BaseException) -> Fault:
        return cuda_fault(error)


def run(inputs, outputs, config) -> None:
    check_context()
    fault = config["FAULT"]
    while fault == "hangs":
        time.sleep(0.1)
    if fault == "memory":
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 200.00 GiB.")
    if fault == "refused":
        raise OutOfResources("out of resource: shared memory, Required: 270336, Hardware limit: 232448")
    if fault == "illegal":
        _state["context"] = ILLEGAL
        return
    _state["throttled"] = fault == "throttled"
    rows = torch.arange(get_op(OP).row_count(inputs))
    outputs[0].copy_(get_op(OP).reference(inputs, rows)[0])


gpu_runtime.GpuRuntime = SimulatedGpuRuntime
register(
    Implementation(
        op=OP,
        name="gpu",
        summary="goes wrong as its config says",
        device_types=("cuda",),
        tunables=(Tunable("FAULT", FAULTS, "what goes wrong"),),
        default_config=lambda axes: {"FAULT": "none"},
        run=run,
    )
)
register(
    Implementation(
        op=OP,
        name="compiled",
        summary="the reference, with kernels that it claims",
        device_types=("cuda",),
        tunables=(Tunable("TILE", tuple(planned_plugin.SHAPES), "which kernel it claims", recompiles=True),),
        default_config=lambda axes: {"TILE": 64},
        run=planned_plugin.run,
        plan=planned_plugin.plan,
    )
)
