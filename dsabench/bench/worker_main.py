"""The worker process: does jobs from a pipe until its parent is gone. Light at import; the heavy modules come after the
environment, the log and the parent watch are in place."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

_PR_SET_PDEATHSIG = 1


def main(jobs: Connection, lifeline: Connection, log: str, plugins: tuple[str, ...], parent: int) -> None:
    """The target of the spawned process. `lifeline` is a pipe that nobody writes to: it ends when the parent does."""
    _detach(log)
    _die_with(parent, lifeline)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the parent hung up
        _serve(jobs, plugins)


def _detach(log: str) -> None:
    """Output goes to the log, input is empty, and the terminal's Ctrl-C is the parent's business."""
    target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, descriptor in ((null, 0), (target, 1), (target, 2)):
        os.dup2(source, descriptor)
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # a group of its own, so that the parent can kill the compilers it starts too


def _die_with(parent: int, lifeline: Connection) -> None:
    """No worker outlives its parent, however that died: a kernel that never returns would hold the machine for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    def watch() -> None:
        with contextlib.suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="parent watch").start()


def _serve(jobs: Connection, plugins: tuple[str, ...]) -> None:
    from dsabench.bench.jobs import Failure, Ready
    from dsabench.bench.worker_jobs import Workshop

    def fault(error: BaseException) -> Any:
        text = next(iter(str(error).splitlines()), "")
        exhausted = isinstance(error, MemoryError) or "can't allocate memory" in text
        return Failure(f"{type(error).__name__}: {text}", traceback.format_exc(), exhausted)

    try:
        workshop = Workshop(plugins, jobs.send)
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
