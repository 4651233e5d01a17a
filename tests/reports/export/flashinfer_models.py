"""flashinfer-bench's own models and loaders, without what needs a GPU: its package's `__init__` imports TVM and CUDA."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PINNED = "flashinfer-bench==0.1.2"
REASON = f"flashinfer-bench is not here: pip install --no-deps {PINNED}"


def data() -> Any:
    """`flashinfer_bench.data`: the models and TraceSet. Skips where the package is not installed."""
    _bare_package("flashinfer_bench")
    return importlib.import_module("flashinfer_bench.data")


def bench_utils() -> Any:
    """`flashinfer_bench.bench.utils`: what loads and draws a workload's inputs there."""
    data()
    _bare_package("flashinfer_bench.bench")
    return importlib.import_module("flashinfer_bench.bench.utils")


def _bare_package(name: str) -> None:
    """The package's folder, under its name, without running its `__init__`."""
    if name in sys.modules:
        return
    parent, _, last = name.rpartition(".")
    if parent:
        folder = Path(sys.modules[parent].__path__[0]) / last
    else:
        top = importlib.util.find_spec(name)
        if top is None or not top.submodule_search_locations:
            pytest.skip(REASON)
        folder = Path(next(iter(top.submodule_search_locations)))
    module = ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module
