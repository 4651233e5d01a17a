"""Launches on a GPU, through CuPy, on torch's current device and stream; tensors go by their pointer, nothing is copied.

CuPy 14 has no launch attributes: a cluster is what the source declares, `__cluster_dims__`, which a plain launch honours (CUDA
C++ Programming Guide, "Thread Block Clusters"). CuPy reads arguments by their Python types: an int is 8 bytes, a NumPy scalar
its own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from dsabench.kernels.cuda.cache import cubin_of
from dsabench.kernels.cuda.source import Argument, CudaLaunch

_OPT_IN_BYTES = 48 * 1024
"""of dynamic shared memory; above it the driver wants to be told"""
_PORTABLE_CLUSTER = 8
_NON_PORTABLE_CLUSTER_SIZE_ALLOWED = 14  # CUfunction_attribute


class LoadedKernel:
    """The kernel `entry` of a cubin, loaded on torch's current device."""

    def __init__(self, cubin: Path, entry: str, cluster: int | None) -> None:
        self._function = _module(cubin, torch.cuda.current_device()).get_function(entry)
        self._allowed_bytes = _OPT_IN_BYTES
        if cluster is not None and cluster > _PORTABLE_CLUSTER:
            from cupy_backends.cuda.api.driver import funcSetAttribute

            funcSetAttribute(self._function.kernel.ptr, _NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)

    def queue(
        self, grid: tuple[int, ...], block: tuple[int, ...], arguments: Iterable[Argument], shared_bytes: int
    ) -> None:
        """One launch on torch's current stream. arguments: in the order of the kernel's parameters."""
        if shared_bytes > self._allowed_bytes:
            self._function.max_dynamic_shared_size_bytes = shared_bytes
            self._allowed_bytes = shared_bytes
        given = tuple(_argument(argument) for argument in arguments)
        with _stream(torch.cuda.current_stream()):
            self._function(grid, block, given, shared_mem=shared_bytes)


_kernels: dict[Any, LoadedKernel] = {}
"""By device and what decides the machine code within a process: hashing the sources at every launch would cost more than it."""


def launch(launch: CudaLaunch) -> None:
    """Queues one launch. Raises what compiling and CuPy raise."""
    key = (torch.cuda.current_device(), launch.source, launch.cluster, *launch.constants.items())
    kernel = _kernels.get(key)
    if kernel is None:
        kernel = _kernels[key] = LoadedKernel(cubin_of(launch), launch.source.entry, launch.cluster)
    kernel.queue(launch.grid, launch.block, launch.arguments, launch.shared_bytes)


def _argument(argument: Argument) -> Any:
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
