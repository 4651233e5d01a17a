"""Triton decides at import whether its kernels are compiled or interpreted: all tests of one process see the interpreter. Tests
that compile for a GPU do so in processes of their own, without this variable."""

from __future__ import annotations

import os

os.environ["TRITON_INTERPRET"] = "1"
