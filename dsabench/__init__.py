"""dsabench: benchmarks, autotunes and runs the kernels of DeepSeek Sparse Attention.

The library functions, and what a kernel of your own joins with, are imported at their first use, so that `import dsabench` and the
command line stay light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULES = {"implementation": "plugin", "triton_implementation": "plugin", "Launch": "triton.launch"}
"""Of the names that are no library functions: the module of dsabench.kernels that has them."""

__all__ = [
    "Launch",
    "__version__",
    "dense_mha_prefill",
    "dense_mla_decode",
    "implementation",
    "indexer_logits",
    "paged_indexer_logits",
    "sparse_mla_decode",
    "sparse_mla_prefill",
    "topk_select",
    "triton_implementation",
]

if TYPE_CHECKING:
    from dsabench.kernels.api import (
        dense_mha_prefill,
        dense_mla_decode,
        indexer_logits,
        paged_indexer_logits,
        sparse_mla_decode,
        sparse_mla_prefill,
        topk_select,
    )
    from dsabench.kernels.plugin import implementation, triton_implementation
    from dsabench.kernels.triton.launch import Launch


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(f"dsabench.kernels.{_MODULES.get(name, 'api')}"), name)
    raise AttributeError(f"module 'dsabench' has no attribute {name!r}")
