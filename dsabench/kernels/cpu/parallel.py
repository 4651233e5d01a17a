"""Runs independent tasks on the cores: a pool of Python threads around kernels that release the GIL.

Not OpenMP: its threads spin between regions and turned 4 ms into 600 on a busy machine, numba's layer resets torch's
thread count. Not `concurrent.futures`: with its queue and futures two tasks of 25 µs take 96 µs, with one lock each way 81;
after 3 ms of sleep, when the cores must wake, 254 against 166 (medians of 400, interleaved).
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable

import torch

from dsabench.kernels.machine import usable_cpus


def thread_count() -> int:
    """Threads a call may use: `torch.set_num_threads` and the process's CPU affinity both bound it."""
    return max(1, min(usable_cpus(), torch.get_num_threads()))


class _Helper:
    """A thread that sleeps until it is given work; `go` and `done` are locks used as binary semaphores."""

    def __init__(self) -> None:
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._work: Callable[[], None] | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._serve, name="dsabench helper", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._go.acquire()
            assert self._work is not None
            try:
                self._work()
            except BaseException as error:
                self._error = error
            self._work = None  # it holds the call's arrays
            self._done.release()

    def begin(self, work: Callable[[], None]) -> None:
        self._work = work
        self._go.release()

    def finish(self) -> BaseException | None:
        """Waits for the work; returns what it raised."""
        self._done.acquire()
        error, self._error = self._error, None
        return error


_idle: list[_Helper] = []
"""Helpers without work. Taken and given back by list operations that are atomic under the GIL: calls may be concurrent."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # threads do not survive a fork


def _take_helper() -> _Helper:
    try:
        return _idle.pop()
    except IndexError:
        return _Helper()


def parallel_for(tasks: int, body: Callable[[int, int], None], threads: int | None = None) -> None:
    """Calls body(task, slot) for every task in [0, tasks). Tasks are taken in order by whichever thread is free, so a core
    that is slowed down by a neighbour takes fewer; `slot` < threads names the thread, for its scratch memory.

    The calling thread works too. An exception in a task is raised here after the other threads have stopped.
    """
    threads = min(tasks, threads or thread_count())
    counter = itertools.count()  # next() is atomic under the GIL

    def work(slot: int) -> None:
        while (task := next(counter)) < tasks:
            body(task, slot)

    if threads <= 1:
        work(0)
        return
    helpers = [_take_helper() for _ in range(threads - 1)]
    for slot, helper in enumerate(helpers, start=1):
        helper.begin(lambda slot=slot: work(slot))  # type: ignore[misc]
    errors: list[BaseException | None] = []
    try:
        work(0)
    finally:
        # Interrupted here (Ctrl-C), a helper is given up, not given back: it may still be at work.
        for helper in helpers:
            errors.append(helper.finish())
            _idle.append(helper)
    for error in errors:
        if error is not None:
            raise error
