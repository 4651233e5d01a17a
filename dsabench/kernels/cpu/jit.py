"""The one decorator of our numba kernels: no GIL, machine code cached on disk under the hash of all CPU kernel sources."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config as numba_config
from platformdirs import user_cache_path

from dsabench.kernels.machine import HIDE_ENV

# Without nnan and ninf: a NaN or an infinity in the inputs must come out again (fastmath=True folds `isnan` away).
FAST = {"reassoc", "contract", "arcp", "nsz", "afn"}


def _cache_directory() -> Path:
    """numba invalidates a cached kernel when its own file changes, but not when an inlined one from another file does.
    So the directory's name is the hash of every CPU kernel source: a change anywhere starts a fresh cache."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    for path in sorted([*package.glob("cpu/*.py"), *package.glob("*/impl_cpu.py")]):
        digest.update(path.read_bytes())
    digest.update(os.environ.get(HIDE_ENV, "").encode())
    base = os.environ.get("DSABENCH_CACHE_DIR")
    root = Path(base) if base else user_cache_path("dsabench")
    return root / "numba" / digest.hexdigest()[:16]


def kernel(function: Callable[..., Any]) -> Any:
    """`numba.njit(nogil=True, cache=True)` with our fast-math flags; module-level functions only (closures do not cache)."""
    theirs = numba_config.CACHE_DIR
    numba_config.CACHE_DIR = str(_CACHE)
    try:
        return numba.njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy", boundscheck=False)(function)
    finally:
        numba_config.CACHE_DIR = theirs


_CACHE = _cache_directory()
