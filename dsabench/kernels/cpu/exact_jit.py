"""The decorator of numba kernels whose every operation must be IEEE's: no reciprocal for a division, no sign of a zero lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import config as numba_config

from dsabench.kernels.cpu import jit


def exact_kernel(function: Callable[..., Any]) -> Any:
    """As `jit.kernel`, cached in the same place, without fast-math flags."""
    theirs = numba_config.CACHE_DIR
    numba_config.CACHE_DIR = str(jit._CACHE)
    try:
        return numba.njit(nogil=True, cache=True, error_model="numpy", boundscheck=False)(function)
    finally:
        numba_config.CACHE_DIR = theirs
