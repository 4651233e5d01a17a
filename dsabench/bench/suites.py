"""Suites: named lists of workloads, written as TOML files and read strictly.

name = "quick"
description = "…"
context = ["4k", "16k"]          # what the word "context" stands for below

[[workload]]
op = "indexer_logits"
s_q = [1, 64]                    # every axis: a number, a size ("4k") or a list; lists multiply
s_kv = "context"                 # the context axis may be left out: it is "context" then
distribution = "normal"          # optional
seed = 0                         # optional
"""

from __future__ import annotations

import itertools
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from dsabench.kernels.op import Op, UnknownNameError
from dsabench.kernels.registry import get_op
from dsabench.kernels.sizes import parse_size
from dsabench.kernels.workload import Workload

_SUITE_KEYS = ("name", "description", "context", "workload")
_OTHER_KEYS = ("op", "distribution", "seed")
CONTEXT = "context"


class SuiteError(ValueError):
    """A suite that does not exist or does not say what it must; the message names the file and the key."""


@dataclass(frozen=True)
class Suite:
    name: str
    description: str
    workloads: tuple[Workload, ...]


def suite_names() -> tuple[str, ...]:
    """The suites that come with the package."""
    files = resources.files("dsabench.bench").joinpath("suites").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def parse_contexts(text: str) -> tuple[int, ...]:
    """`4k,16k` → (4096, 16384). Raises SuiteError on anything that is not a size above 0."""
    sizes = []
    for word in text.split(","):
        try:
            size = parse_size(word)
        except ValueError as error:
            raise SuiteError(f"context: {error}") from None
        if size < 1:
            raise SuiteError(f"context must be at least 1, got {word.strip()}")
        sizes.append(size)
    return tuple(dict.fromkeys(sizes))


def load_suite(name: str, contexts: tuple[int, ...] | None = None, ops: tuple[str, ...] = (), seed: int = 0) -> Suite:
    """Reads a suite by name, or a file by a path that ends in `.toml`.

    `contexts` replaces the context length of every workload, whatever the file says; workloads that become equal count
    once. `ops` keeps only those. `seed` is added to each workload's own. Raises SuiteError or UnknownNameError.
    """
    path = Path(name)
    if name.endswith(".toml"):
        try:
            text, where = path.read_text(), str(path)
        except OSError as error:
            raise SuiteError(f"cannot read suite {path}: {error.strerror}") from error
    else:
        if name not in suite_names():
            raise UnknownNameError("suite", name, list(suite_names()))
        where = f"{name}.toml"
        text = resources.files("dsabench.bench").joinpath("suites", where).read_text()
    for op in ops:
        get_op(op)
    suite = parse_suite(text, where, contexts, seed)
    if not ops:
        return suite
    kept = tuple(w for w in suite.workloads if w.op in ops)
    missing = [op for op in ops if op not in {w.op for w in kept}]
    if missing:
        raise SuiteError(f"suite {suite.name} has no workload of op {missing[0]}")
    return Suite(suite.name, suite.description, kept)


def parse_suite(text: str, where: str, contexts: tuple[int, ...] | None = None, seed: int = 0) -> Suite:
    """`text` as TOML; `where` names it in errors. See `load_suite`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SuiteError(f"{where}: {error}") from error
    _known_keys(table, _SUITE_KEYS, where)
    for key in ("name", "description"):
        if not isinstance(table.get(key), str):
            raise SuiteError(f"{where}: {key} must be a string, got {table.get(key)!r}")
    own = tuple(_sizes(table.get("context", []), f"{where}: context"))
    entries = table.get("workload", [])
    if not isinstance(entries, list) or not entries or not all(isinstance(e, dict) for e in entries):
        raise SuiteError(f"{where}: a suite needs at least one [[workload]] table")
    workloads: dict[Workload, None] = {}
    for number, entry in enumerate(entries, start=1):
        for workload in _expand(entry, f"{where}, workload {number}", own, contexts, seed):
            workloads[workload] = None
    return Suite(table["name"], table["description"], tuple(workloads))


def _expand(
    entry: dict[str, Any], where: str, own: tuple[int, ...], override: tuple[int, ...] | None, seed: int
) -> list[Workload]:
    name = entry.get("op")
    if not isinstance(name, str):
        raise SuiteError(f"{where}: op must be a string, got {name!r}")
    try:
        op = get_op(name)
    except UnknownNameError as error:
        raise SuiteError(f"{where}: {error}") from error
    _known_keys(entry, (*_OTHER_KEYS, *(axis.name for axis in op.axes)), where)
    values: dict[str, list[int]] = {
        axis.name: _sizes(entry[axis.name], f"{where}: {axis.name}")
        for axis in op.axes
        if axis.name in entry and entry[axis.name] != CONTEXT
    }
    values[op.context_axis] = _contexts(op, entry, where, own, override, values)
    own_seed = entry.get("seed", 0)
    if isinstance(own_seed, bool) or not isinstance(own_seed, int):
        raise SuiteError(f"{where}: seed must be an integer, got {own_seed!r}")
    try:
        return [
            Workload.of(
                name, dict(zip(values, combination, strict=True)), entry.get("distribution", "normal"), own_seed + seed
            )
            for combination in itertools.product(*values.values())
        ]
    except ValueError as error:
        raise SuiteError(f"{where}: {error}") from error


def _contexts(
    op: Op,
    entry: dict[str, Any],
    where: str,
    own: tuple[int, ...],
    override: tuple[int, ...] | None,
    values: dict[str, list[int]],
) -> list[int]:
    for axis, given in entry.items():
        if given == CONTEXT and axis != op.context_axis:
            raise SuiteError(f"{where}: only {op.context_axis} can be {CONTEXT!r}, not {axis}")
    if override is not None:
        return list(override)
    if op.context_axis in values:
        return values[op.context_axis]
    if not own:
        raise SuiteError(f"{where}: {op.context_axis} is {CONTEXT!r} but the suite has no context list")
    return list(own)


def _sizes(value: Any, where: str) -> list[int]:
    sizes = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, bool) or not isinstance(item, int | str):
            raise SuiteError(f"{where}: {item!r} is not a size; write for example 4096 or '4k'")
        try:
            sizes.append(parse_size(item))
        except ValueError as error:
            raise SuiteError(f"{where}: {error}") from None
    return sizes


def _known_keys(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            raise SuiteError(f"{where}: {UnknownNameError('key', key, list(known))}")
