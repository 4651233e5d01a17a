"""Looks up tuned configs: what `dsabench tune` measured, from the user's cache and from the table in the package.

A table is JSON: {"schema": 1, "entries": [...]}; an entry holds `device` (key), `op`, `impl`, `axes`, `config`, `source`
(hash of the kernel's source), `versions`, `median_s` and what it was measured against. Only entries of the device at hand,
of the kernel source as it is and of the installed versions count: a wrong config is worse than the default.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dsabench.kernels.cuda.nvrtc import NVRTC, NvrtcMissingError, nvrtc_version
from dsabench.kernels.cuda_driver import CUDA_DRIVER, cuda_driver_version
from dsabench.kernels.implementation import ConfigValue
from dsabench.kernels.registry import get_op
from dsabench.kernels.source_hash import source_hash
from dsabench.kernels.user_cache import user_cache_root

SCHEMA = 1
_PACKAGED = Path(__file__).parent / "tuned"
KEYED_VERSIONS = {"cpu": ("torch", "numba"), "cuda": ("torch", "triton", CUDA_DRIVER)}
"""By device type, whose version is part of an entry's key: what generates or runs the code that was timed."""
CUDA_CPP_VERSIONS = (NVRTC, "tilelang", "cupy-cuda13x", "cupy-cuda12x")
"""Of entries of a GPU besides, but for implementations that are known to have no part in them: a new NVRTC voids no Triton kernel."""
_NO_CUDA_CPP = ("torch", "triton")


@dataclass(frozen=True)
class Entry:
    """One tuned config with the axes it was tuned for and its median time in seconds."""

    device: str
    op: str
    impl: str
    axes: Mapping[str, int]
    config: Mapping[str, ConfigValue]
    source: str
    versions: Mapping[str, str]
    median_s: float


def user_table_path(device_key: str) -> Path:
    """Where `dsabench tune` keeps the user's table of a device."""
    return user_cache_root() / "tuned" / f"{device_key}.json"


def keyed_versions(device_key: str, impl: str | None = None) -> dict[str, str]:
    """The versions here that an entry of this device and implementation must name; of any implementation without one. What is not
    here is left out."""
    found = {}
    for name in _keyed_names(device_key, impl):
        here = _version_here(name)
        if here is not None:
            found[name] = here
    return entry_versions(device_key, found, impl)


def entry_versions(device_key: str, versions: Mapping[str, str], impl: str | None = None) -> dict[str, str]:
    """Of `versions`, those that an entry of this device and implementation names (of any implementation without one), without
    local parts (`2.13.0+cpu` is 2.13.0)."""
    return {name: versions[name].split("+")[0] for name in _keyed_names(device_key, impl) if name in versions}


def _keyed_names(device_key: str, impl: str | None) -> tuple[str, ...]:
    type_ = _device_type(device_key)
    return KEYED_VERSIONS[type_] + (CUDA_CPP_VERSIONS if type_ == "cuda" and impl not in _NO_CUDA_CPP else ())


def _version_here(name: str) -> str | None:
    if name == CUDA_DRIVER:
        return cuda_driver_version()
    try:
        return nvrtc_version() if name == NVRTC else version(name)
    except (PackageNotFoundError, NvrtcMissingError):
        return None


def _device_type(device_key: str) -> str:
    """`cpu` or `cuda`, with which every device key begins."""
    return device_key.split("-", 1)[0]


def read_entries(path: Path) -> list[Entry]:
    """Entries of a table file. Raises ValueError naming the file when it cannot be read or is malformed."""
    try:
        document = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"tuned table {path} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ValueError(f"tuned table {path} is not of schema {SCHEMA}")
    fields = Entry.__dataclass_fields__
    try:
        return [Entry(**{name: raw[name] for name in fields}) for raw in document["entries"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"tuned table {path} has a malformed entry: {error}") from error


def table_paths(device_key: str) -> list[Path]:
    """The table files there are: the user's for this device, then the package's."""
    return [path for path in (user_table_path(device_key), *sorted(_PACKAGED.glob("*.json"))) if path.is_file()]


@functools.cache
def _entries(device_key: str) -> tuple[Entry, ...]:
    """The user's entries first, so that they win over the package's at equal distance. Those that do not hold here are out."""
    versions: dict[str, dict[str, str]] = {}
    found: list[Entry] = []
    for path in table_paths(device_key):
        for entry in read_entries(path):
            if entry.device != device_key:
                continue
            if entry.impl not in versions:
                versions[entry.impl] = keyed_versions(device_key, entry.impl)
            if dict(entry.versions) != versions[entry.impl]:
                continue
            try:
                current = source_hash(entry.op, entry.impl)
            except ValueError:  # an op or a plugin that is not here
                continue
            if entry.source == current:
                found.append(entry)
    return tuple(found)


def forget() -> None:
    """Reads the tables anew at the next look-up."""
    _entries.cache_clear()
    _lookup.cache_clear()


def _distance(entry: Entry, axes: Mapping[str, int], context_axis: str) -> tuple[float, float]:
    """How far an entry's axes are: first the sum of |log2 ratio| over all axes but the context, then the context's."""

    def ratio(name: str) -> float:
        return abs(math.log2((axes[name] + 1) / (entry.axes.get(name, 0) + 1)))

    return sum(ratio(name) for name in axes if name != context_axis), ratio(context_axis)


@functools.lru_cache(maxsize=4096)
def _lookup(device_key: str, op: str, axes: tuple[tuple[str, int], ...]) -> tuple[tuple[str, Entry], ...]:
    context_axis = get_op(op).context_axis
    wanted = dict(axes)
    nearest: dict[str, tuple[tuple[float, float], Entry]] = {}
    for entry in _entries(device_key):
        if entry.op == op:
            distance = _distance(entry, wanted, context_axis)
            if entry.impl not in nearest or distance < nearest[entry.impl][0]:
                nearest[entry.impl] = (distance, entry)
    # Fastest first, among entries measured on the same (nearest) workload; a farther workload's time says nothing.
    ranked = sorted(nearest.items(), key=lambda item: (item[1][0], item[1][1].median_s))
    return tuple((impl, entry) for impl, (_, entry) in ranked)


def nearest_entries(device_key: str, op: str, axes: Mapping[str, int]) -> dict[str, Entry]:
    """By implementation: the entry nearest to `axes`, at the nearest context length; best implementation first.

    axes: all axes of the op. Raises ValueError when a table file is malformed.
    """
    return dict(_lookup(device_key, op, tuple(axes.items())))


def nearest_config(device_key: str, op: str, impl: str, axes: Mapping[str, int]) -> dict[str, Any] | None:
    """The tuned config of one implementation; None when nothing fits."""
    entry = nearest_entries(device_key, op, axes).get(impl)
    return None if entry is None else dict(entry.config)
