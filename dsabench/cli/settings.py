"""Where the options of `dsabench tune` come from: defaults < dsabench.toml or pyproject.toml < DSABENCH_… < command line.

In `dsabench.toml` the keys stand at the top, in `pyproject.toml` in `[tool.dsabench]`; an unknown one is an error. The file is
looked for in the working directory and its parents, the nearest counts. In the environment a list is written with commas
(`DSABENCH_OP=topk_select,indexer_logits`).
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsabench.cli.errors import UsageError

_PREFIX = "DSABENCH_"
_NOT_SETTINGS = ("DSABENCH_CACHE_DIR", "DSABENCH_HIDE_ISA")
"""Read elsewhere, by the library too."""


@dataclass(frozen=True)
class TuneSettings:
    suite: str = "auto"
    """`quick` on a CPU, `hopper` on a GPU"""
    op: tuple[str, ...] = ()
    impl: tuple[str, ...] = ()
    context: str = ""
    device: str = "auto"
    strategy: str = "auto"
    budget: str = "auto"
    """4m on a CPU, so that the whole of `make tune` ends within five minutes on two cores; 8m on a GPU"""
    effort: str = "quick"
    seed: int = 0
    out: str = "dsabench-out"
    plugin: tuple[str, ...] = ()
    trial_timeout: str = "60s"
    install: bool = True
    report: bool = True
    allow_busy: bool = False


_FIELDS = {f.name: f for f in dataclasses.fields(TuneSettings)}


def load_settings(
    command_line: Mapping[str, Any], environment: Mapping[str, str] | None = None, directory: Path | None = None
) -> tuple[TuneSettings, set[str]]:
    """The settings, and the names of those that the command line gave. `command_line` holds None for what was not given.

    Raises UsageError naming the file or variable, the key and what was expected.
    """
    values: dict[str, Any] = {}
    for source, layer in (
        *_file_layers(directory or Path.cwd()),
        ("environment", _environment_layer(os.environ if environment is None else environment)),
    ):
        for key, value in layer.items():
            values[key] = _checked(key, value, source)
    given = {key: value for key, value in command_line.items() if value is not None}
    values |= {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return TuneSettings(**values), set(given)


def _file_layers(directory: Path) -> list[tuple[str, dict[str, Any]]]:
    for folder in (directory.resolve(), *directory.resolve().parents):
        own = folder / "dsabench.toml"
        if own.is_file():
            return [(str(own), _read(own))]
        project = folder / "pyproject.toml"
        if project.is_file():
            table = _read(project).get("tool", {}).get("dsabench")
            if table is not None:
                return [(f"{project} [tool.dsabench]", table)]
    return []


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error


def _environment_layer(environment: Mapping[str, str]) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    for name, text in environment.items():
        if not name.startswith(_PREFIX) or name in _NOT_SETTINGS:
            continue
        key = name.removeprefix(_PREFIX).lower()
        default = getattr(TuneSettings, key, None) if key in _FIELDS else None
        if isinstance(default, tuple):
            layer[key] = [word.strip() for word in text.split(",") if word.strip()]
        elif isinstance(default, bool):
            if text.lower() not in ("0", "1", "false", "true"):
                raise UsageError(f"{name} must be 0, 1, false or true, got {text!r}")
            layer[key] = text.lower() in ("1", "true")
        elif isinstance(default, int):
            try:
                layer[key] = int(text)
            except ValueError:
                raise UsageError(f"{name} must be an integer, got {text!r}") from None
        else:
            layer[key] = text
    return layer


def _checked(key: str, value: Any, source: str) -> Any:
    if key not in _FIELDS:
        shown = f"{_PREFIX}{key.upper()}" if source == "environment" else f"key {key!r}"
        near = difflib.get_close_matches(key, _FIELDS, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise UsageError(f"{source}: unknown {shown}{hint}; known: {', '.join(_FIELDS)}")
    default = getattr(TuneSettings, key)
    if isinstance(default, tuple):
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise UsageError(f"{source}: {key} must be a list of strings, got {value!r}")
        return tuple(words)
    if key in ("budget", "trial_timeout") and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if key == "context" and isinstance(value, list):
        return ",".join(str(each) for each in value)
    if type(value) is not type(default):
        raise UsageError(f"{source}: {key} must be of type {type(default).__name__}, got {value!r}")
    return value
