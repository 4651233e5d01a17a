"""How the command line fails: one clear line on stderr and a non-zero exit; a traceback only with `--debug`."""

from __future__ import annotations

import sys
import traceback

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class CommandError(Exception):
    """Ends a command with a message for its user."""

    def __init__(self, message: str, exit_code: int = EXIT_ERROR) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(CommandError):
    """A command line that cannot be followed."""

    def __init__(self, message: str) -> None:
        super().__init__(message, EXIT_USAGE)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def fail(error: BaseException, debug: bool) -> int:
    """Prints the error and returns the exit code. Errors that are not ours are named as internal: they are bugs."""
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, CommandError):
        print(f"error: {one_line(error)}", file=sys.stderr)
        return error.exit_code
    hint = "" if debug else "; run again with --debug for the traceback"
    print(f"error: internal: {type(error).__name__}: {one_line(error)}{hint}", file=sys.stderr)
    return EXIT_ERROR
