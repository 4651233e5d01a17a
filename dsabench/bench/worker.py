"""The parent's hold on a worker process: starts it, gives it jobs, kills and replaces it when it crashes or hangs."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from dsabench.bench.child_process import child_environment, exit_text, kill
from dsabench.bench.device import worker_environment
from dsabench.bench.jobs import Failure, Job, Ready, Stage
from dsabench.bench.worker_main import main as worker_main

START_TIMEOUT_S = 120.0
"""Importing torch and numba takes 2 s, on a cold disk twenty."""
SETUP_STAGES = ("build", "reference", "copy")
"""Stages in which no kernel runs: their time is ours and not counted against a trial."""
SETUP_TIMEOUT_S = 300.0


class WorkerDied(Exception):  # noqa: N818 - outcomes of a trial, not errors of ours
    """The worker crashed; `reason` names the signal or exit code and what it was doing."""

    def __init__(self, reason: str, stage: Stage | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stage = stage


class WorkerTimeout(Exception):  # noqa: N818
    """The worker did not answer in time and was killed."""

    def __init__(self, reason: str, stage: Stage | None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.stage = stage


class JobFailed(Exception):  # noqa: N818
    """The worker lives, but the job raised where no kernel is to blame."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class WorkerStartError(Exception):
    """No worker can be started here; the message says why and where its log is."""


class Worker:
    """One worker process, started at the first job and again after each crash or hang. Not for use from several threads.

    device: `cpu`, or `cuda` for the one GPU that `environment` lets it see. environment: what it finds in its environment
    besides what every worker does; None: a variable it must not find. kernels: folder of another tree's `dsabench.kernels` that it
    uses instead of ours.
    """

    def __init__(
        self,
        log: Path,
        plugins: tuple[str, ...] = (),
        on_stage: Callable[[Stage], None] | None = None,
        environment: Mapping[str, str | None] | None = None,
        device: str = "cpu",
        kernels: Path | None = None,
    ) -> None:
        self.log = log
        self.plugins = plugins
        self.on_stage = on_stage
        self.environment = environment or {}
        self.device = device
        self.kernels = kernels
        self.starts = 0
        self._ready = False
        self._process: Any = None
        self._jobs: Connection | None = None
        self._lifeline: Connection | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def do(self, job: Job, timeout_s: float) -> Any:
        """The job's result. Raises WorkerDied, WorkerTimeout (after `timeout_s` seconds), JobFailed or WorkerStartError; after
        the first two the worker is gone and the next call starts another."""
        self.start()
        assert self._jobs is not None
        try:
            self._jobs.send(job)
        except (BrokenPipeError, ConnectionResetError):
            raise self._death(None) from None
        return self._answer(timeout_s)

    def launch(self) -> None:
        """Starts the process and does not wait: several workers then import at once. Like all of this class it changes the
        environment for a moment, so not from several threads."""
        if self._process is not None:
            return
        self._ready = False
        context = multiprocessing.get_context("spawn")
        self._jobs, theirs = context.Pipe()
        lifeline, self._lifeline = context.Pipe(duplex=False)
        self._process = context.Process(
            target=worker_main,
            args=(
                theirs,
                lifeline,
                str(self.log),
                self.device,
                self.plugins,
                self.kernels and str(self.kernels),
                os.getpid(),
            ),
            daemon=True,
        )
        with child_environment({**worker_environment(), **self.environment}):
            self._process.start()
        theirs.close()
        lifeline.close()
        self.starts += 1

    def start(self) -> None:
        """Waits until the process is ready for jobs; launches it where that was not done. Raises WorkerStartError."""
        self.launch()
        if self._ready:
            return
        try:
            ready = self._answer(START_TIMEOUT_S)
        except JobFailed as failed:
            self.kill()
            raise WorkerStartError(f"the worker cannot start: {failed.failure.reason}") from failed
        except (WorkerDied, WorkerTimeout) as error:
            raise WorkerStartError(f"the worker cannot start: {error.reason}; its output is in {self.log}") from error
        assert isinstance(ready, Ready)
        self._ready = True

    def _answer(self, timeout_s: float) -> Any:
        assert self._jobs is not None
        end = time.monotonic() + timeout_s
        stage: Stage | None = None
        since = time.monotonic()
        while True:
            limit = since + SETUP_TIMEOUT_S if stage and stage.text in SETUP_STAGES else end
            ready = wait([self._jobs, self._process.sentinel], max(0.0, limit - time.monotonic()))
            if self._jobs in ready:
                try:
                    message = self._jobs.recv()
                except (EOFError, OSError):
                    raise self._death(stage) from None
                if isinstance(message, Stage):
                    if stage and stage.text in SETUP_STAGES:
                        end += time.monotonic() - since
                    stage, since = message, time.monotonic()
                    if self.on_stage:
                        self.on_stage(stage)
                    continue
                if isinstance(message, Failure):
                    raise JobFailed(message)
                return message
            if ready:
                raise self._death(stage)
            if time.monotonic() >= limit:
                self.kill()
                raise WorkerTimeout(f"no answer within {timeout_s:.3g} s{_doing(stage)}; the worker was killed", stage)

    def _death(self, stage: Stage | None) -> WorkerDied:
        """Reaps a worker that is gone, or that closed its pipe and is as good as gone."""
        process = self._process
        process.join(5.0)
        code = process.exitcode
        self.kill()
        return WorkerDied(f"{exit_text(code)}{_doing(stage)}", stage)

    def kill(self) -> None:
        """Ends the worker and everything it started; safe to call at any time."""
        process, self._process = self._process, None
        for connection in (self._jobs, self._lifeline):
            if connection is not None:
                connection.close()
        self._jobs = self._lifeline = None
        if process is not None:
            kill(process)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _doing(stage: Stage | None) -> str:
    return f" during {stage.text}" if stage else ""
