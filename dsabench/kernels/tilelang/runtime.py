"""Where TileLang kernels can run: where CUDA C++ ones do, with TileLang to write it."""

from __future__ import annotations

import importlib.util

from dsabench.kernels.cuda import runtime as cuda_runtime


def unavailable() -> str | None:
    """None when TileLang kernels run here, else why not and what would be needed."""
    reason = cuda_runtime.unavailable()
    if reason is None and importlib.util.find_spec("tilelang") is None:
        return "needs TileLang: pip install 'dsabench[tilelang]'"
    return reason
