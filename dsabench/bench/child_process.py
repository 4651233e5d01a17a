"""What every process we start has in common: its environment, its output, its death with the parent, how its end is told.

Light at import: a worker's heavy modules come after these have run.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def child_environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """A spawned process gets the parent's environment as it is at that moment. None takes a variable out."""

    def put(settings: Mapping[str, str | None]) -> None:
        for name, value in settings.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    old = {name: os.environ.get(name) for name in values}
    put(values)
    try:
        yield
    finally:
        put(old)


def detach(log: str) -> None:
    """Output goes to the log, input is empty, and the terminal's Ctrl-C is the parent's business."""
    target = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, descriptor in ((null, 0), (target, 1), (target, 2)):
        os.dup2(source, descriptor)
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # a group of its own, so that the parent can kill the compilers it starts too


def die_with(parent: int, lifeline: Connection) -> None:
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


def kill(process: BaseProcess) -> None:
    """Ends a process that called `detach`, and everything it started."""
    assert process.pid is not None
    with contextlib.suppress(ProcessLookupError, PermissionError, AttributeError):  # Windows has no groups
        if os.getpgid(process.pid) == process.pid:  # once it has a group of its own
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join(5.0)


def exit_text(code: int | None) -> str:
    """How a worker ended, from its exit code (negative: a signal; None: it is still there and says nothing)."""
    if code is None:
        return "the worker stopped answering"
    if code >= 0:
        return f"the worker ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the worker was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
