"""A pool of worker processes that outlives its workers: one that crashes, hangs or eats its memory is killed and replaced."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any

from dsabench.autotune.inspect.arch import Arch
from dsabench.autotune.inspect.jobs import DisassembleJob, Job, JobFailed, Ready, Result
from dsabench.autotune.inspect.toolchain import Toolchain
from dsabench.autotune.inspect.worker import WorkerSetup, exhausted, output_end
from dsabench.autotune.inspect.worker import main as worker_main
from dsabench.bench.child_process import child_environment, exit_text, kill
from dsabench.bench.inspection_records import Outcome

START_TIMEOUT_S = 120.0
"""Importing torch and Triton takes 2 s, on a cold disk twenty."""


class PoolError(Exception):
    """No worker can be started; the message says why."""


@dataclass(frozen=True)
class Limits:
    """Of one job. A compile takes 0.4 to 3.4 s and 0.3 GB; what passes these limits never ends."""

    seconds: float = 120.0
    memory_bytes: int = 4 * 2**30


class _Slot:
    """A worker process and the job it does."""

    def __init__(self, number: int, scratch: Path) -> None:
        self.folder = scratch / f"worker-{number}"
        self.log = self.folder / "output.txt"
        self.process: Any = None
        self.jobs: Connection | None = None
        self.lifeline: Connection | None = None
        self.ready = False
        self.job: Job | None = None
        self.deadline = 0.0

    @property
    def idle(self) -> bool:
        return self.process is not None and self.ready and self.job is None

    def start(self, setup: WorkerSetup) -> None:
        context = multiprocessing.get_context("spawn")
        self.folder.mkdir(exist_ok=True)
        self.jobs, theirs = context.Pipe()
        lifeline, self.lifeline = context.Pipe(duplex=False)
        self.process = context.Process(target=worker_main, args=(theirs, lifeline, setup, os.getpid()), daemon=True)
        with child_environment(_variables(self.folder)):
            self.process.start()
        theirs.close()
        lifeline.close()
        self.ready = False
        self.deadline = time.monotonic() + START_TIMEOUT_S

    def kill(self) -> None:
        """Ends the worker and the tools it started."""
        process, self.process = self.process, None
        for connection in (self.jobs, self.lifeline):
            if connection is not None:
                connection.close()
        self.jobs = self.lifeline = self.job = None
        if process is not None:
            kill(process)


class Pool:
    """Does jobs in up to `workers` processes. Use as a context manager; `results` runs in the caller's thread."""

    def __init__(
        self,
        workers: int,
        arch: Arch,
        toolchain: Toolchain,
        plugins: tuple[str, ...],
        limits: Limits,
        launch_cache: Path | None = None,
    ) -> None:
        self._arch = arch
        self._toolchain = toolchain
        self._plugins = plugins
        self._limits = limits
        self._launch_cache = launch_cache
        self._queue: deque[Job] = deque()
        self._scratch = tempfile.TemporaryDirectory(prefix="dsabench-inspect-", ignore_cleanup_errors=True)
        self._slots = [_Slot(n, Path(self._scratch.name)) for n in range(workers)]

    def submit(self, job: Job) -> None:
        """Disassembly goes first: results wait for it."""
        if isinstance(job, DisassembleJob):
            self._queue.appendleft(job)
        else:
            self._queue.append(job)

    @property
    def waiting(self) -> int:
        """Jobs that no worker has begun."""
        return len(self._queue)

    def results(self) -> Iterator[tuple[Job, Result | JobFailed]]:
        """Each job with its result as it comes, until none is left; more may be submitted meanwhile. Raises PoolError when a
        worker does not start."""
        while self._queue or any(slot.job for slot in self._slots):
            self._hand_out()
            yield from self._collect()

    def _hand_out(self) -> None:
        for slot in self._slots:
            if slot.idle and self._queue:
                assert slot.jobs is not None
                slot.job = self._queue.popleft()
                slot.deadline = time.monotonic() + self._limits.seconds
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # _collect sees that it died
                    slot.jobs.send(slot.job)
        starting = sum(slot.process is not None and not slot.ready for slot in self._slots)
        for slot in self._slots:
            if slot.process is None and starting < len(self._queue):
                slot.start(self._setup(slot))
                starting += 1

    def _setup(self, slot: _Slot) -> WorkerSetup:
        return WorkerSetup(
            self._arch,
            self._toolchain,
            self._plugins,
            str(slot.log),
            self._limits.memory_bytes,
            self._limits.seconds,
            self._launch_cache,
        )

    def _collect(self) -> Iterator[tuple[Job, Result | JobFailed]]:
        busy = [slot for slot in self._slots if slot.process is not None and (slot.job is not None or not slot.ready)]
        ends = [slot.deadline for slot in busy]
        watched: list[Any] = [x for slot in busy for x in (slot.jobs, slot.process.sentinel)]
        changed = wait(watched, max(0.0, min(ends) - time.monotonic())) if watched else []
        for slot in busy:
            if slot.jobs in changed or slot.process.sentinel in changed:
                yield from self._message(slot)
            elif time.monotonic() >= slot.deadline:
                yield from self._ended(slot, self._overtime(slot))

    def _message(self, slot: _Slot) -> Iterator[tuple[Job, Result | JobFailed]]:
        assert slot.jobs is not None
        try:
            message = slot.jobs.recv() if slot.jobs.poll() else None
        except (EOFError, OSError):
            message = None
        if message is None:
            yield from self._ended(slot, self._death(slot))
        elif isinstance(message, Ready):
            slot.ready = True
        elif isinstance(message, JobFailed) and (not slot.ready or message.outcome == Outcome.OUT_OF_MEMORY):
            yield from self._ended(slot, message)  # what it allocated may still be held
        elif slot.job is not None:
            job, slot.job = slot.job, None
            yield job, message

    def _ended(self, slot: _Slot, failure: JobFailed) -> Iterator[tuple[Job, Result | JobFailed]]:
        job, ready = slot.job, slot.ready
        slot.kill()
        if not ready:
            raise PoolError(f"the compiling process does not start: {failure.reason}")
        if job is not None:
            yield job, failure

    def _overtime(self, slot: _Slot) -> JobFailed:
        seconds = self._limits.seconds if slot.ready else START_TIMEOUT_S
        return JobFailed(
            Outcome.TIMEOUT, f"not done within {seconds:.3g} s; the process was killed", output_end(str(slot.log))
        )

    def _death(self, slot: _Slot) -> JobFailed:
        slot.process.join(5.0)
        output = output_end(str(slot.log))
        reason = exit_text(slot.process.exitcode).replace("the worker", "the compiling process")
        if exhausted(output):
            return JobFailed(
                Outcome.OUT_OF_MEMORY, f"{reason}; its limit is {self._limits.memory_bytes / 2**30:.3g} GiB", output
            )
        return JobFailed(Outcome.CRASHED, reason, output)

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for slot in self._slots:
            slot.kill()
        self._scratch.cleanup()


def _variables(folder: Path) -> dict[str, str | None]:
    """What a killed worker leaves behind goes with the pool's scratch folder."""
    return {
        "TRITON_INTERPRET": None,
        "TRITON_CACHE_DIR": str(folder / "triton"),
        "TMPDIR": str(folder),
        "OMP_NUM_THREADS": "1",
    }
