"""A device claimed for one command, and a worker bound to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dsabench.bench.jobs import DescribeJob, Stage
from dsabench.bench.records import DeviceRecord, DeviceType
from dsabench.bench.worker import JobFailed, Worker, WorkerDied, WorkerStartError, WorkerTimeout

DESCRIBE_TIMEOUT_S = 300.0


def device_type(device: str) -> DeviceType:
    """Of a device as `resolve_device` returns it: `cpu` or `cuda:i`."""
    return "cpu" if device == "cpu" else "cuda"


@contextmanager
def claimed_worker(
    device: str,
    log: Path,
    command: str,
    plugins: tuple[str, ...] = (),
    on_stage: Callable[[Stage], None] | None = None,
    allow_busy: bool = False,
) -> Iterator[Worker]:
    """A worker on `device` (as `resolve_device` returns it), which is ours until the block ends; `command` is told to others who
    want it. Raises GpuBusyError when others use it and `allow_busy` does not say that this is known."""
    with (
        claimed_device(device, command, allow_busy) as environment,
        Worker(log, plugins, on_stage, environment, device_type(device)) as worker,
    ):
        yield worker


@contextmanager
def claimed_device(device: str, command: str, allow_busy: bool = False) -> Iterator[dict[str, str | None]]:
    """The environment that binds a worker to `device`, which is ours until the block ends. Raises GpuBusyError as
    `claimed_worker`."""
    if device == "cpu":
        yield {}
        return
    from dsabench.bench.gpu.claim import claimed_gpu

    with claimed_gpu(int(device.partition(":")[2]), command, allow_busy) as environment:
        yield environment


def describe(worker: Worker) -> DeviceRecord:
    """What device the worker is bound to, in its own words. Raises WorkerStartError."""
    try:
        record = worker.do(DescribeJob(), DESCRIBE_TIMEOUT_S)
    except (WorkerDied, WorkerTimeout, JobFailed) as error:
        raise WorkerStartError(f"the device cannot be asked what it is: {error}") from error
    assert isinstance(record, DeviceRecord)
    return record
