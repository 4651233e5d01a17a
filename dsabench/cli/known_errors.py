"""Errors that name what a user did, as one line of the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dsabench.cli.errors import CommandError, UsageError


@contextmanager
def known_errors() -> Iterator[None]:
    """UsageError for what the command line asked that cannot be, CommandError for what went wrong on the way."""
    try:
        yield
    except Exception as error:
        from dsabench.autotune.budget import BudgetError
        from dsabench.autotune.resume import ResumeError
        from dsabench.autotune.run_folder import OutputError
        from dsabench.autotune.table import TableError
        from dsabench.bench.device import DeviceError
        from dsabench.bench.journal import JournalError
        from dsabench.bench.suites import SuiteError
        from dsabench.bench.worker import WorkerStartError
        from dsabench.kernels.op import UnknownNameError
        from dsabench.kernels.registry import PluginError

        if isinstance(error, BudgetError | DeviceError | SuiteError | UnknownNameError | PluginError):
            raise UsageError(str(error)) from error
        if isinstance(error, JournalError | OutputError | ResumeError | TableError | WorkerStartError):
            raise CommandError(str(error)) from error
        raise
