"""Launches on a GPU, through CuPy, on torch's current device and stream; tensors go by their pointer, nothing is copied.

CuPy 14 has no launch attributes: a cluster is what the source declares, `__cluster_dims__`, which a plain launch honours (CUDA
C++ Programming Guide, "Thread Block Clusters"). CuPy reads arguments by their Python types: an int is 8 bytes, a NumPy scalar
its own.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import torch

from dsabench.kernels.cuda.cache import cubin_of
from dsabench.kernels.cuda.source import CudaLaunch

_OPT_IN_BYTES = 48 * 1024
"""of dynamic shared memory; above it the driver wants to be told"""
_PORTABLE_CLUSTER = 8
_NON_PORTABLE_CLUSTER_SIZE_ALLOWED = 14  # CUfunction_attribute


class _Kernel:
    """A kernel loaded on one device. allowed_bytes: the dynamic shared memory that its launches may ask for."""

    def __init__(self, launch: CudaLaunch) -> None:
        self.function = _module(cubin_of(launch), torch.cuda.current_device()).get_function(launch.source.entry)
        self.allowed_bytes = _OPT_IN_BYTES
        if launch.cluster is not None and launch.cluster > _PORTABLE_CLUSTER:
            from cupy_backends.cuda.api.driver import funcSetAttribute

            funcSetAttribute(self.function.kernel.ptr, _NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)

    def allow(self, shared_bytes: int) -> None:
        self.function.max_dynamic_shared_size_bytes = shared_bytes
        self.allowed_bytes = shared_bytes


_kernels: dict[Any, _Kernel] = {}
"""By device and what decides the machine code within a process: hashing the sources at every launch would cost more than it."""


def launch(launch: CudaLaunch) -> None:
    """Queues one launch. Raises what compiling and CuPy raise."""
    arguments = tuple(_argument(argument) for argument in launch.arguments)
    key = (torch.cuda.current_device(), launch.source, launch.cluster, *launch.constants.items())
    kernel = _kernels.get(key)
    if kernel is None:
        kernel = _kernels[key] = _Kernel(launch)
    if launch.shared_bytes > kernel.allowed_bytes:
        kernel.allow(launch.shared_bytes)
    with _stream(torch.cuda.current_stream()):
        kernel.function(launch.grid, launch.block, arguments, shared_mem=launch.shared_bytes)


def _argument(argument: Any) -> Any:
    if isinstance(argument, torch.Tensor):
        return argument.data_ptr()
    return 0 if argument is None else argument


@functools.lru_cache(maxsize=64)
def _stream(stream: torch.cuda.Stream) -> Any:
    from cupy.cuda import Stream

    return Stream.from_external(stream)


@functools.cache
def _module(cubin: Path, device: int) -> Any:
    """device: modules belong to the context they were loaded in."""
    import cupy

    return cupy.RawModule(path=str(cubin))
