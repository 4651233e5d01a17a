"""The `dsabench` command. Light: no command's module imports torch before the command runs."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from dsabench.cli.errors import EXIT_INTERRUPTED, EXIT_USAGE, fail

COMMANDS = ("tune", "compare", "gate", "report", "export", "verify", "inspect", "list", "doctor")
"""Each is the function of that name in `dsabench/cli/<name>.py` (`list_` in `list.py`)."""

# Click's UsageError by a way that holds for typer with its own copy of click and for typer beside the package.
_ArgumentError: Any = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="dsabench",
    help="Benchmarks, checks and autotunes the kernels of DeepSeek Sparse Attention on the device at hand.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        from dsabench import __version__

        print(f"dsabench {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show a traceback with an error; works after any command.")
    ] = False,
) -> None:
    pass


for _name in COMMANDS:
    if importlib.util.find_spec(f"dsabench.cli.{_name}") is None:
        continue
    _module = importlib.import_module(f"dsabench.cli.{_name}")
    app.command(_name)(getattr(_module, _name, None) or getattr(_module, f"{_name}_"))


def run(arguments: Sequence[str]) -> int:
    """Runs one command line (without the program's name) and returns its exit code."""
    debug = "--debug" in arguments
    words = [word for word in arguments if word != "--debug"]
    try:
        code = typer.main.get_command(app).main(words, prog_name="dsabench", standalone_mode=False)
    except _ArgumentError as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error)
            return EXIT_USAGE
        context = getattr(error, "ctx", None)
        where = context.command_path if context else "dsabench"
        message = error.format_message()
        print(f"error: {' '.join(message.split())} (see {where} --help)", file=sys.stderr)
        return EXIT_USAGE
    except typer.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output is gone (`| head`). Python would complain once more while flushing at exit.
        sys.stdout = None
        return 0
    except Exception as error:
        return fail(error, debug)
    return int(code or 0)


def main() -> None:
    raise SystemExit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
