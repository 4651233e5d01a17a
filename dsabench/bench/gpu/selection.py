"""Which GPUs there are and how a worker is pinned to one: what the parent does, without a CUDA context of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass

from dsabench.kernels.cuda_driver import DriverDevice, driver_devices
from dsabench.kernels.triton.runtime import INTERPRET_ENV

VISIBLE_ENV = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Gpu:
    """index: as torch numbers it under the user's CUDA_VISIBLE_DEVICES; visible: the UUID that alone in CUDA_VISIBLE_DEVICES leaves
    a process this one GPU or MIG instance, and by which NVML knows it too; sms: streaming multiprocessors; capability: (9, 0) on
    Hopper."""

    index: int
    visible: str
    name: str
    sms: int
    capability: tuple[int, int]


def visible_gpus() -> list[Gpu]:
    """The GPUs that CUDA offers this process, in torch's order. Raises CudaDriverError when a driver is here and does not work.

    They are asked of the driver, which alone knows its order (CUDA_DEVICE_ORDER; by default the fastest first, where NVML goes by
    the bus) and what the user's indices, UUIDs or MIG names come to.
    """
    return [
        Gpu(index, _visible_name(index, device), device.name, device.sms, device.capability)
        for index, device in enumerate(driver_devices())
    ]


def _visible_name(index: int, device: DriverDevice) -> str:
    named = [name.strip() for name in os.environ.get(VISIBLE_ENV, "").split(",")]
    if index < len(named) and named[index].startswith("MIG-"):
        return named[index]
    return f"{'MIG' if ' MIG ' in device.name else 'GPU'}-{device.uuid}"


def gpu_environment(gpu: Gpu) -> dict[str, str | None]:
    """What a worker pinned to `gpu` must find in its environment (None: must not); there the GPU is `cuda:0`."""
    return {VISIBLE_ENV: gpu.visible, INTERPRET_ENV: None}
