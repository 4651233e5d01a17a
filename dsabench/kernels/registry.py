"""Finds ops and implementations by looking at the house: an op is a folder with a `contract.py`, an implementation a file
`impl_<name>.py` in it. A user's own implementation joins through `load_plugin` or an installed package's entry point. Nothing is
imported until it is asked for."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsabench.kernels.implementation import Implementation
from dsabench.kernels.op import Op, UnknownNameError

_HERE = Path(__file__).parent
# The order in which a reader meets them: the steps of a DSA layer, the dense baselines, then what fills and reads the caches.
_ORDER = (
    "indexer_logits",
    "paged_indexer_logits",
    "topk_select",
    "sparse_mla_prefill",
    "sparse_mla_decode",
    "dense_mla_decode",
    "dense_mha_prefill",
    "quantize_kv_cache",
    "quantize_index_cache",
    "dequantize_kv_cache",
)
ENTRY_POINTS = "dsabench.implementations"
"""The group of entry points whose modules register implementations when they are imported."""
_plugins: dict[tuple[str, str], Implementation] = {}
_entry_points_loaded = False
_log = logging.getLogger("dsabench")


class PluginError(Exception):
    """A plugin file that cannot be loaded or registers nothing usable."""


@functools.cache
def op_names() -> tuple[str, ...]:
    found = {p.parent.name for p in _HERE.glob("*/contract.py")}
    return tuple(n for n in _ORDER if n in found) + tuple(sorted(found - set(_ORDER)))


@functools.cache
def get_op(name: str) -> Op:
    if name not in op_names():
        raise UnknownNameError("op", name, list(op_names()))
    return importlib.import_module(f"dsabench.kernels.{name}.contract").OP


@functools.cache
def _builtin_implementation_names(op: str) -> tuple[str, ...]:
    names = {p.stem.removeprefix("impl_") for p in (_HERE / op).glob("impl_*.py")}
    return tuple(sorted(names))


def implementation_names(op: str | None = None) -> tuple[str, ...]:
    """Names of the implementations of one op, or of any op."""
    _load_entry_points()
    ops = op_names() if op is None else (op,)
    names: set[str] = set()
    for each in ops:
        if each not in op_names():
            raise UnknownNameError("op", each, list(op_names()))
        names |= set(_builtin_implementation_names(each)) | {n for o, n in _plugins if o == each}
    return tuple(sorted(names))


@functools.cache
def _builtin(op: str, name: str) -> Implementation:
    return importlib.import_module(f"dsabench.kernels.{op}.impl_{name}").IMPLEMENTATION


def get_implementation(op: str, name: str) -> Implementation:
    if name not in implementation_names(op):
        raise UnknownNameError(f"implementation of {op}", name, list(implementation_names(op)))
    return _plugins.get((op, name)) or _builtin(op, name)


def register(implementation: Implementation) -> Implementation:
    """Adds an implementation from outside the package. Raises PluginError when its op is unknown or its name is taken."""
    if implementation.op not in op_names():
        raise PluginError(str(UnknownNameError("op", implementation.op, list(op_names()))))
    key = (implementation.op, implementation.name)
    if implementation.name in _builtin_implementation_names(implementation.op) or key in _plugins:
        raise PluginError(f"implementation {implementation.id} exists already; choose another name")
    _plugins[key] = implementation
    return implementation


@contextmanager
def _all_or_nothing() -> Iterator[None]:
    """What a plugin registered before it failed goes again: mended, it can be loaded."""
    before = dict(_plugins)
    try:
        yield
    except BaseException:
        _plugins.clear()
        _plugins.update(before)
        raise


def load_plugin(path: str | Path) -> list[Implementation]:
    """Runs a Python file that registers implementations and returns what it added. Loading a file twice adds nothing. Raises
    PluginError with file, line and error."""
    path = Path(path).resolve()
    name = _module_name(path)
    if name in sys.modules:
        return []
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise PluginError(f"plugin {path} is not a Python file")
    before = set(_plugins)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _all_or_nothing():
            spec.loader.exec_module(module)
            added = [implementation for key, implementation in _plugins.items() if key not in before]
            if not added:
                raise PluginError(
                    f"plugin {path} registers no implementation; decorate a function with @dsabench.implementation(...)"
                )
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        line = _line(error, path)
        if isinstance(error, PluginError):
            if line is None:
                raise
            raise PluginError(f"plugin {path}, line {line}: {error}") from error
        where = "" if line is None else f", line {line},"
        raise PluginError(f"plugin {path}{where} failed to import: {_what(error)}") from error
    return added


def _module_name(path: Path) -> str:
    """`dsabench_plugin_<stem>`, and of a second file of that name another: kernels are hashed by their module's file."""
    name = f"dsabench_plugin_{path.stem}"
    taken = sys.modules.get(name)
    if taken is None or getattr(taken, "__file__", None) == str(path):
        return name
    return f"{name}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def _what(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"  # its text repeats the file
    return f"{type(error).__name__}: {error}"


def _line(error: BaseException, path: Path) -> int | None:
    """The line of the file at which an error arose, however deep below it."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return lines[-1] if lines else None


def _load_entry_points() -> None:
    """Imports what installed packages offer, once. A broken one costs a line of warning, and the others join."""
    global _entry_points_loaded
    if _entry_points_loaded:
        return
    _entry_points_loaded = True  # first: a module that asks for names while it is imported ends here
    for point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        # Two entry points of one module, or an application that imported it before, register nothing new and are well.
        known, imported = set(_plugins), point.module in sys.modules
        try:
            with _all_or_nothing():
                point.load()
                if known == set(_plugins) and not imported:
                    raise PluginError("it registers no implementation")
        except (Exception, SystemExit) as error:
            what = str(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {error}"
            package = point.dist.name if point.dist else "?"
            _log.warning(
                "entry point %s (%s, of %s) left out: %s", point.name, point.value, package, " ".join(what.split())
            )
