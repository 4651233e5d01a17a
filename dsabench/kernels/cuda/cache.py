"""Cubins kept on disk: a kernel is compiled once, ahead or at its first launch, and loaded from there ever after.

A cubin lies at `cubins/<key>/<digest>.cubin` in the user's cache. The key is of everything that decides the machine code and of what
was checked against it; the digest is of the file's own bytes, so that a damaged file is known and made anew. Facts that a launch
wants beside the cubin (TileLang's) lie at `<digest>.<digest of the facts>.json`. Files are written whole or not at all: any number
of processes may share the folder.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from dsabench.kernels.cuda.compile import argument_bytes, compile_launch, macros, options
from dsabench.kernels.cuda.includes import source_text
from dsabench.kernels.cuda.nvrtc import nvrtc_version
from dsabench.kernels.cuda.source import CudaLaunch
from dsabench.kernels.user_cache import user_cache_root


def cubin_folder() -> Path:
    """`cubins` in the user's dsabench cache."""
    return user_cache_root() / "cubins"


def kernel_key(launch: CudaLaunch) -> str:
    """24 hex digits over the source and all it includes, macros, options with the architecture, NVRTC's version, the entry, and the
    sizes of the arguments, which the compiled kernel is checked against. Raises OSError where a file cannot be read, and as
    `macros`, `argument_bytes` and `nvrtc_version` do."""
    sizes = [argument_bytes(argument) for argument in launch.arguments]
    what = [
        _text(launch.source.file),
        options(macros(launch)),
        nvrtc_version(),
        launch.source.entry,
        launch.cluster,
        sizes,
    ]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


@functools.cache
def _text(file: Path) -> str:
    """Of a source and what it includes, as this process saw them first: an edited kernel is a new process's business, as with
    Python's own modules."""
    return source_text(file)


def cached_cubin(key: str) -> Path | None:
    """The cubin of `kernel_key`, whole, the newest of several; None where there is none. A damaged one is removed."""
    folder = cubin_folder() / key
    for path in sorted(folder.glob("*.cubin"), key=_changed, reverse=True):
        with contextlib.suppress(OSError):
            if hashlib.sha256(path.read_bytes()).hexdigest() == path.stem:
                return path
            path.unlink()
    return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # removed meanwhile
        return 0.0


def keep_cubin(key: str, cubin: bytes, facts: Any = None) -> Path:
    """facts: what JSON holds, for `facts_of`. Raises OSError where it cannot be written."""
    folder = cubin_folder() / key
    digest = hashlib.sha256(cubin).hexdigest()
    if facts is not None:  # first: who finds the cubin finds them
        document = json.dumps(facts).encode()
        _write_whole(folder / f"{digest}.{hashlib.sha256(document).hexdigest()}.json", document)
    return _write_whole(folder / f"{digest}.cubin", cubin)


def facts_of(cubin: Path) -> Any:
    """What was kept with a cubin; None where it was kept without facts or they are damaged."""
    for path in sorted(cubin.parent.glob(f"{cubin.stem}.*.json")):
        with contextlib.suppress(OSError):
            document = path.read_bytes()
            if hashlib.sha256(document).hexdigest() == path.suffixes[-2][1:]:
                return json.loads(document)
            path.unlink()
    return None


def _write_whole(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    return path


def cubin_of(launch: CudaLaunch) -> Path:
    """Where the launch's cubin lies, compiled if need be. Raises as `kernel_key`, `compile_launch` and `keep_cubin` do."""
    key = kernel_key(launch)
    return cached_cubin(key) or keep_cubin(key, compile_launch(launch).cubin)
