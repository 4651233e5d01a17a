"""The worker process: does jobs from a pipe until its parent is gone. Light at import; the heavy modules come after the
environment, the log and the parent watch are in place."""

from __future__ import annotations

import contextlib
import traceback
from multiprocessing.connection import Connection
from typing import Any

from dsabench.bench.child_process import detach, die_with
from dsabench.bench.messages import Failure, Ready
from dsabench.bench.other_kernels import use_kernels


def main(
    jobs: Connection,
    lifeline: Connection,
    log: str,
    device: str,
    plugins: tuple[str, ...],
    kernels: str | None,
    parent: int,
) -> None:
    """The target of the spawned process. `lifeline` is a pipe that nobody writes to: it ends when the parent does."""
    detach(log)
    die_with(parent, lifeline)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent hung up
        _serve(jobs, device, plugins, kernels)


def _serve(jobs: Connection, device: str, plugins: tuple[str, ...], kernels: str | None) -> None:
    def fault(error: BaseException) -> Any:
        text = next(iter(str(error).splitlines()), "")
        exhausted = isinstance(error, MemoryError) or "can't allocate memory" in text or "out of memory" in text
        return Failure(f"{type(error).__name__}: {text}", traceback.format_exc(), exhausted)

    try:
        if kernels is not None:
            use_kernels(kernels)
        from dsabench.bench.worker_jobs import Workshop

        workshop = Workshop(device, plugins, jobs.send)
        jobs.send(Ready())
    except Exception as error:
        jobs.send(fault(error))
        return
    while True:
        job = jobs.recv()
        try:
            result: Any = workshop.do(job)
        except Exception as error:
            result = fault(error)
        jobs.send(result)
