"""A command in this process: what it prints and its exit code without the 2 to 3 s in which a process of its own imports torch."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from dsabench.cli.app import run
from dsabench.kernels import registry
from dsabench.kernels.source_hash import source_hash
from dsabench.kernels.tuned_table import forget


@dataclass(frozen=True)
class Done:
    """Named as in subprocess.CompletedProcess."""

    returncode: int
    stdout: str
    stderr: str


@contextlib.contextmanager
def own_registry() -> Iterator[None]:
    """What a process reads once and keeps, plugins and tuned tables, is read anew inside and as it was afterwards."""
    before = _without_plugins()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_plugins", {})
        try:
            yield
        finally:
            _without_plugins()
            sys.modules.update(before)


def _without_plugins() -> dict[str, ModuleType]:
    """Takes the modules of plugins away and returns them."""
    forget()
    source_hash.cache_clear()
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("dsabench_plugin_")}


def dsabench(*words: str, environment: dict[str, str] | None = None, cwd: Path | None = None) -> Done:
    """`dsabench *words` with exactly these variables (None: those of this process) and in that folder."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        own_registry(),
        contextlib.chdir(cwd or Path.cwd()),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        if environment is not None:
            for name in os.environ.keys() - environment.keys():
                patch.delenv(name)
            for name, value in environment.items():
                patch.setenv(name, value)
        code = run(words)
    return Done(code, out.getvalue(), err.getvalue())
