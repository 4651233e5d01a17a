"""Triton decides at import whether its kernels are compiled or interpreted: all tests of one process see the interpreter. Tests
that compile for a GPU do so in processes of their own, without this variable."""

from __future__ import annotations

import gc
import os

os.environ["TRITON_INTERPRET"] = "1"


def pytest_collection_finish() -> None:
    """What is imported stays: no collection looks at it again. Each of those before a timing took 0.2 s, 0.88 s of the 1.0 s of a
    self-check on a made-up device."""
    gc.collect()
    gc.freeze()
