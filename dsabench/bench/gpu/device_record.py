"""The GPU that trials run on, as the journal records it."""

from __future__ import annotations

import os
import platform

import torch

from dsabench.bench.device import worker_environment
from dsabench.bench.gpu.nvml import Sensor, why_no_nvml
from dsabench.bench.records import DeviceRecord
from dsabench.kernels.gpu_key import gpu_device_key
from dsabench.kernels.machine import cpu_name, usable_cpus

SHAPING_ENV = (
    "CUDA_DEVICE_MAX_CONNECTIONS",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "NVIDIA_TF32_OVERRIDE",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "TRITON_DEFAULT_FP_FUSION",
)
"""Variables that change times and are the user's own. Not CUDA_VISIBLE_DEVICES: it holds a UUID, which no journal may."""


def gpu_device(sensor: Sensor | None) -> DeviceRecord:
    """Device 0 of this process, a worker pinned to it. Makes a CUDA context. sensor: of that GPU; None without NVML.

    last_level_cache_bytes is the L2; threads are of the CPUs that launch. details: the driver's facts (`nvml`: why there are none),
    the CUDA that torch is built with, the host, and `env.*` for the variables that shape a worker.
    """
    properties = torch.cuda.get_device_properties(0)
    details = {
        "platform": platform.platform(),
        "host_cpu": cpu_name(),
        "cuda_runtime": str(torch.version.cuda),
        **(sensor.facts() if sensor is not None else {"nvml": why_no_nvml() or "it does not know this GPU"}),
    }
    details |= {f"env.{name}": value for name, value in worker_environment().items()}
    details |= {f"env.{name}": os.environ[name] for name in SHAPING_ENV if name in os.environ}
    return DeviceRecord(
        type="cuda",
        key=gpu_device_key(properties.name, properties.multi_processor_count),
        name=properties.name,
        cores=properties.multi_processor_count,
        isa=[f"sm_{properties.major}{properties.minor}"],
        memory_bytes=properties.total_memory,
        last_level_cache_bytes=properties.L2_cache_size,
        threads=usable_cpus(),
        details=details,
    )
