"""Finds ops and implementations by looking at the house: an op is a folder with a `contract.py`, an implementation a file
`impl_<name>.py` in it. A user's own implementation joins through `load_plugin`. Nothing is imported until it is asked for."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from pathlib import Path

from dsabench.kernels.implementation import Implementation
from dsabench.kernels.op import Op, UnknownNameError

_HERE = Path(__file__).parent
# The order in which a reader meets them: the steps of a DSA layer, then the dense baselines.
_ORDER = (
    "indexer_logits",
    "paged_indexer_logits",
    "topk_select",
    "sparse_mla_prefill",
    "sparse_mla_decode",
    "dense_mla_decode",
    "dense_mha_prefill",
)
_plugins: dict[tuple[str, str], Implementation] = {}


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


def load_plugin(path: str | Path) -> list[Implementation]:
    """Runs a Python file that calls `register(...)` and returns what it added. Loading a file twice adds nothing."""
    path = Path(path).resolve()
    module_name = f"dsabench_plugin_{path.stem}"
    loaded = sys.modules.get(module_name)
    if loaded is not None and getattr(loaded, "__file__", None) == str(path):
        return []
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise PluginError(f"plugin {path} is not a Python file")
    before = dict(_plugins)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except PluginError:
        sys.modules.pop(module_name, None)
        raise
    except Exception as error:
        sys.modules.pop(module_name, None)
        raise PluginError(f"plugin {path} failed to import: {type(error).__name__}: {error}") from error
    added = [impl for key, impl in _plugins.items() if key not in before]
    if not added:
        raise PluginError(f"plugin {path} registers no implementation; call dsabench.kernels.registry.register(...)")
    return added
