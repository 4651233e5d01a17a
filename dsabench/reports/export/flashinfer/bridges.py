"""Solutions for flashinfer-bench's own `dsa_paged` definitions.

They call our kernels behind its interface: they put its split queries and caches together, turn positions into cache slots and
the natural lse into base 2. No trace of ours is of such a call, so there are none: its benchmark times them, conversion included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

from dsabench.reports.export.flashinfer.solutions import AUTHOR

_ATTENTION = '''"""Sparse MLA by dsabench behind flashinfer-bench's interface: queries and caches joined, lse to base 2."""

import math

import torch

import dsabench


@torch.no_grad()
def run(q_nope, q_pe, ckv_cache, kpe_cache, sparse_indices, sm_scale):
    q = torch.cat([q_nope, q_pe], dim=-1)
    kv = torch.cat([ckv_cache, kpe_cache], dim=-1).flatten(0, 1)[:, None]
    out, lse = dsabench.sparse_mla_prefill(q, kv, sparse_indices[:, None], float(sm_scale))
    return out, lse / math.log(2.0)
'''

_INDEXER = '''"""Indexer and top-k by dsabench behind flashinfer-bench's interface: positions are turned into slots of the cache."""

import torch

import dsabench

PAGE = 64


@torch.no_grad()
def run(q_index_fp8, k_index_cache_fp8, weights, seq_lens, block_table):
    columns = block_table.shape[1] * PAGE
    logits = dsabench.paged_indexer_logits(
        q_index_fp8[:, None], k_index_cache_fp8.view(torch.uint8), weights, seq_lens[:, None], block_table, columns
    )
    positions = dsabench.topk_select(logits, torch.zeros_like(seq_lens), seq_lens, 2048).long()
    blocks = torch.gather(block_table, 1, positions.clamp_min(0) // PAGE)
    return torch.where(positions < 0, -1, blocks * PAGE + positions % PAGE).int()
'''

_BRIDGES = (
    (("sparse_mla_prefill",), "dsa_sparse_attention_h16_ckv512_kpe64_topk2048_ps64", _ATTENTION),
    (("sparse_mla_prefill",), "dsa_sparse_attention_h16_ckv512_kpe64_topk2048_ps1", _ATTENTION),
    (("paged_indexer_logits", "topk_select"), "dsa_topk_indexer_fp8_h64_d128_topk2048_ps64", _INDEXER),
)
"""(ops that it calls, its definition, code)"""


def bridges(measured: Collection[tuple[str, str]]) -> list[dict[str, Any]]:
    """The Solutions whose ops are all among the (op, implementation) measured; which implementation runs is the library's choice."""
    ops = {op for op, _ in measured}
    return [_solution(definition, code) for needed, definition, code in _BRIDGES if ops >= set(needed)]


def _solution(definition: str, code: str) -> dict[str, Any]:
    return {
        "name": f"dsabench_{definition}_{hashlib.sha256(code.encode()).hexdigest()[:8]}",
        "definition": definition,
        "author": AUTHOR,
        "description": "dsabench's fastest implementation behind this definition's interface; not timed by dsabench.",
        "spec": {
            "language": "python",
            "target_hardware": ["cuda", "cpu"],
            "entry_point": "main.py::run",
            "dependencies": ["dsabench"],
            "destination_passing_style": False,
        },
        "sources": [{"path": "main.py", "content": code}],
    }
