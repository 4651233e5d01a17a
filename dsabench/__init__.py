"""dsabench: benchmarks, autotunes and runs the kernels of DeepSeek Sparse Attention.

The library functions, and what a kernel of your own joins with, are imported at their first use, so that `import dsabench` and the
command line stay light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_MODULES = {
    **dict.fromkeys(
        ("implementation", "triton_implementation", "cuda_implementation", "tilelang_implementation"), "plugin"
    ),
    "Launch": "triton.launch",
    **dict.fromkeys(("CudaLaunch", "CudaSource"), "cuda.source"),
    **dict.fromkeys(("TileLangLaunch", "TileLangSource"), "tilelang.launch"),
}
"""Of the names that are no library functions: the module of dsabench.kernels that has them."""

__all__ = [
    "CudaLaunch",
    "CudaSource",
    "Launch",
    "TileLangLaunch",
    "TileLangSource",
    "__version__",
    "cuda_implementation",
    "dense_mha_prefill",
    "dense_mla_decode",
    "dequantize_kv_cache",
    "implementation",
    "indexer_logits",
    "paged_indexer_logits",
    "quantize_index_cache",
    "quantize_kv_cache",
    "sparse_mla_decode",
    "sparse_mla_prefill",
    "tilelang_implementation",
    "topk_select",
    "triton_implementation",
]

if TYPE_CHECKING:
    from dsabench.kernels.api import (
        dense_mha_prefill,
        dense_mla_decode,
        dequantize_kv_cache,
        indexer_logits,
        paged_indexer_logits,
        quantize_index_cache,
        quantize_kv_cache,
        sparse_mla_decode,
        sparse_mla_prefill,
        topk_select,
    )
    from dsabench.kernels.cuda.source import CudaLaunch, CudaSource
    from dsabench.kernels.plugin import (
        cuda_implementation,
        implementation,
        tilelang_implementation,
        triton_implementation,
    )
    from dsabench.kernels.tilelang.launch import TileLangLaunch, TileLangSource
    from dsabench.kernels.triton.launch import Launch


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module(f"dsabench.kernels.{_MODULES.get(name, 'api')}"), name)
    raise AttributeError(f"module 'dsabench' has no attribute {name!r}")
