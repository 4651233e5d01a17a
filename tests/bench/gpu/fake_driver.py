"""A CUDA driver's library of which only what is asked without a context works: `cuCtxCreate` and its like are not there."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FakeGpu:
    name: str = "NVIDIA H100 80GB HBM3"
    uuid: bytes = bytes(range(16))
    sms: int = 132
    capability: tuple[int, int] = (9, 0)


@dataclass
class FakeDriver:
    """gpus: in CUDA's order; version: as cuDriverGetVersion codes it; init: what cuInit returns."""

    gpus: list[FakeGpu] = field(default_factory=list)
    version: int = 13000
    init: int = 0

    def cuDriverGetVersion(self, number: Any) -> int:  # noqa: N802
        number._obj.value = self.version
        return 0

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.init if self.init or self.gpus else 100

    def cuGetErrorName(self, status: int, name: Any) -> int:  # noqa: N802
        name._obj.value = {802: b"CUDA_ERROR_SYSTEM_NOT_READY"}.get(status)
        return 0

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self.gpus)
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = index
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: ctypes.c_int) -> int:  # noqa: N802
        name.value = self.gpus[device.value].name.encode()
        return 0

    def cuDeviceGetUuid_v2(self, identity: Any, device: ctypes.c_int) -> int:  # noqa: N802
        identity.raw = self.gpus[device.value].uuid
        return 0

    def cuDeviceGetAttribute(self, value: Any, number: int, device: ctypes.c_int) -> int:  # noqa: N802
        gpu = self.gpus[device.value]
        value._obj.value = {16: gpu.sms, 75: gpu.capability[0], 76: gpu.capability[1]}[number]
        return 0
