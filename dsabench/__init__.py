"""dsabench: benchmarks, autotunes and runs the kernels of DeepSeek Sparse Attention.

The library functions are imported at their first use, so that `import dsabench` and the command line stay light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "dense_mha_prefill",
    "dense_mla_decode",
    "indexer_logits",
    "paged_indexer_logits",
    "sparse_mla_decode",
    "sparse_mla_prefill",
    "topk_select",
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


def __getattr__(name: str) -> Any:
    if name in __all__:
        from dsabench.kernels import api

        return getattr(api, name)
    raise AttributeError(f"module 'dsabench' has no attribute {name!r}")
