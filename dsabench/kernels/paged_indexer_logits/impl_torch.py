"""`paged_indexer_logits` as a user writes it in eager torch: for each sequence gather its blocks, cast the keys to
float32, one product, ReLU, weighted sum. See `indexer_logits.impl_torch` for the cast and for why float32."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.implementation import Config, ConfigValue, Implementation
from dsabench.kernels.index_cache import BLOCK_TOKENS, unpack_index_cache
from dsabench.kernels.indexer_logits.impl_torch import (
    BLOCK_KV,
    CAST,
    block_reason,
    cast_keys,
    memory_reason,
    weighted_scores,
)
from dsabench.kernels.op import Axes, Outputs

if TYPE_CHECKING:
    from dsabench.kernels.paged_indexer_logits.contract import Inputs


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    (logits,) = outputs
    b, next_n = inputs.context_lens.shape
    columns = torch.arange(inputs.max_context_len, device=logits.device)
    logits.fill_(-torch.inf)
    for i in range(b):
        rows = slice(i * next_n, (i + 1) * next_n)
        longest = int(inputs.context_lens[i].max())
        q = inputs.q[i].float()
        block_kv = int(config["BLOCK_KV"]) or longest
        for first in range(0, longest, max(block_kv, 1)):
            last = min(first + block_kv, longest)
            blocks = inputs.block_table[i, first // BLOCK_TOKENS : -(-last // BLOCK_TOKENS)]
            codes, scales = unpack_index_cache(inputs.k_cache[blocks.long()])
            k = cast_keys(codes[: last - first], str(config["CAST"]))
            scores = weighted_scores(q, k, inputs.weights[rows]) * scales[: last - first]
            inside = columns[first:last] < inputs.context_lens[i, :, None]
            logits[rows, first:last] = torch.where(inside, scores, -torch.inf)


def default_config(axes: Axes) -> dict[str, ConfigValue]:
    config: dict[str, ConfigValue] = {"BLOCK_KV": 0, "CAST": "torch"}
    if constraint(config, axes) is None:
        return config
    legal = [c for c in BLOCK_KV.choices if c and memory_reason(int(c), axes["next_n"] * axes["h"]) is None]
    return {"BLOCK_KV": max(legal, key=int), "CAST": "torch"}


def constraint(config: Config, axes: Axes) -> str | None:
    block_kv = int(config["BLOCK_KV"])
    keys = min(block_kv or axes["s_kv"], axes["s_kv"])
    return block_reason(block_kv, axes["s_kv"]) or memory_reason(keys, axes["next_n"] * axes["h"])


IMPLEMENTATION = Implementation(
    op="paged_indexer_logits",
    name="torch",
    summary="eager torch in float32, sequence by sequence: gather, cast, product, ReLU, weighted sum",
    device_types=("cpu", "cuda"),
    tunables=(BLOCK_KV, CAST),
    default_config=default_config,
    run=run,
    constraint=constraint,
    describe=lambda config: f"float32 products of eager torch, keys cast by {config['CAST']}",
)
