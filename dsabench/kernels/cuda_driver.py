"""What the CUDA driver says of itself and of its devices, without a context on any of them. Light: imports neither torch nor Triton.

Only cuInit, the version and device queries are called: a context would take 500 MB of the GPU and make this process one of those
that keep it busy. Devices come in the order and under the numbers that torch gives them, since both follow CUDA_VISIBLE_DEVICES
and CUDA_DEVICE_ORDER through the same driver. Source: CUDA driver API, "Device Management" and "Version Management".
"""

from __future__ import annotations

import ctypes
import uuid
from dataclasses import dataclass
from typing import Any

CUDA_DRIVER = "cuda_driver"
"""The name under which the driver's CUDA version stands among those of packages."""
_LIBRARY = "libcuda.so.1"
_NO_DEVICE = 100
_MULTIPROCESSORS, _CAPABILITY_MAJOR, _CAPABILITY_MINOR = 16, 75, 76  # CUdevice_attribute


class CudaDriverError(Exception):
    """The driver is here and does not work; the message names the call and the driver's error."""


@dataclass(frozen=True)
class DriverDevice:
    """uuid: as hexadecimal groups, of the MIG instance where the device is one; capability: (9, 0) on Hopper."""

    name: str
    uuid: str
    sms: int
    capability: tuple[int, int]


def load_driver() -> Any | None:
    """The driver's library, None where there is none."""
    try:
        return ctypes.CDLL(_LIBRARY)
    except OSError:
        return None


def cuda_driver_version() -> str | None:
    """The newest CUDA that the driver runs, e.g. `13.0`; None without a driver."""
    library = load_driver()
    if library is None:
        return None
    number = ctypes.c_int()
    if library.cuDriverGetVersion(ctypes.byref(number)):
        return None
    return f"{number.value // 1000}.{number.value % 1000 // 10}"


def driver_devices() -> list[DriverDevice]:
    """The devices that this process may use, none without a driver or a GPU. Raises CudaDriverError."""
    library = load_driver()
    if library is None:
        return []
    status = library.cuInit(0)
    if status == _NO_DEVICE:
        return []
    _checked(library, "cuInit", status)
    count = ctypes.c_int()
    _checked(library, "cuDeviceGetCount", library.cuDeviceGetCount(ctypes.byref(count)))
    return [_device(library, index) for index in range(count.value)]


def _device(library: Any, index: int) -> DriverDevice:
    device = ctypes.c_int()
    _checked(library, "cuDeviceGet", library.cuDeviceGet(ctypes.byref(device), index))
    name = ctypes.create_string_buffer(256)
    _checked(library, "cuDeviceGetName", library.cuDeviceGetName(name, len(name), device))
    identity = ctypes.create_string_buffer(16)
    # The first version gives a MIG instance the UUID of the whole GPU.
    _checked(library, "cuDeviceGetUuid_v2", library.cuDeviceGetUuid_v2(identity, device))

    def attribute(number: int) -> int:
        value = ctypes.c_int()
        status = library.cuDeviceGetAttribute(ctypes.byref(value), number, device)
        _checked(library, "cuDeviceGetAttribute", status)
        return value.value

    return DriverDevice(
        name=name.value.decode(errors="replace"),
        uuid=str(uuid.UUID(bytes=identity.raw)),
        sms=attribute(_MULTIPROCESSORS),
        capability=(attribute(_CAPABILITY_MAJOR), attribute(_CAPABILITY_MINOR)),
    )


def _checked(library: Any, call: str, status: int) -> None:
    if status:
        name = ctypes.c_char_p()
        library.cuGetErrorName(status, ctypes.byref(name))
        raise CudaDriverError(f"{call} failed: {(name.value or b'unknown error').decode()} ({status})")
