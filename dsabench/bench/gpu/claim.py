"""A GPU claimed for one run: looked at, locked, and the environment that binds a worker to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dsabench.bench.gpu.busy import GpuBusyError, GpuLock, why_busy
from dsabench.bench.gpu.compile_cache import compile_environment
from dsabench.bench.gpu.nvml import open_sensor
from dsabench.bench.gpu.selection import gpu_environment, visible_gpus


@contextmanager
def claimed_gpu(index: int, command: str, allow_busy: bool) -> Iterator[dict[str, str | None]]:
    """The environment of a worker on GPU `index` (as torch numbers it), for as long as the block lasts. Raises GpuBusyError when
    others use it and `allow_busy` does not say that this is known."""
    gpu = visible_gpus()[index]
    with ExitStack() as stack:
        if not allow_busy:
            stack.enter_context(GpuLock(gpu, command))
            sensor = open_sensor(gpu.visible)
            reason = why_busy(sensor, set()) if sensor is not None else ""
            if reason:
                raise GpuBusyError(
                    f"GPU {gpu.index} ({gpu.name}) is busy: {reason}; times would be theirs too (--allow-busy measures all the same)"
                )
        yield {**gpu_environment(gpu), **compile_environment()}
