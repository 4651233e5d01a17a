"""`dense_mla_decode` in eager torch: per sequence, gather a run of pages, score, softmax, weigh, and merge the runs.

At up to BLOCK_KV keys that is the plain form. Beyond, keys are tiled: scores must be float32, so the keys are widened on a
CPU, and a whole 128K sequence would take 300 MB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_torch import VALUE_PRODUCT, RunningSoftmax, attend, f32_scores
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.kv_cache import flatten_pages, sequence_slots
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.visible_keys import visible_keys

if TYPE_CHECKING:
    from dsabench.kernels.dense_mla_decode.contract import Inputs


def _default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {"BLOCK_KV": 8192, "PV": "bf16"}


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Writes out bf16 [b, s_q, h_q, 512] and lse f32 [b, s_q, h_q] into `outputs`."""
    out, lse = outputs
    b, s_q, h_q, _ = inputs.q.shape
    page, tokens = inputs.kv_cache.shape[1], flatten_pages(inputs.kv_cache)
    visible = visible_keys(inputs.cache_seqlens, s_q, inputs.causal)
    block = int(config["BLOCK_KV"])
    for i in range(b):
        q = inputs.q[i].view(1, s_q * h_q, 576)
        row_visible = visible[i].repeat_interleave(h_q).to(q.device)[:, None]
        shortest, longest = int(visible[i].min()), int(visible[i].max())
        merged = RunningSoftmax(1, s_q * h_q, 512, q.device)
        for first in range(0, longest, block):
            last = min(first + block, longest)
            kv = tokens[sequence_slots(inputs.block_table[i], page, first, last)][None]
            scores = f32_scores(q, kv, inputs.sm_scale)
            if last > shortest:
                scores.masked_fill_(torch.arange(first, last, device=q.device) >= row_visible, -torch.inf)
            merged.add(*attend(scores, kv[..., :512], str(config["PV"])))
        out[i] = merged.out.view(s_q, h_q, 512)
        lse[i] = merged.lse.view(s_q, h_q)


def describe(config: Config) -> str:
    return f"eager torch {torch.__version__}, {torch.get_num_threads()} threads, QK f32, PV {config['PV']}"


IMPLEMENTATION = Implementation(
    op="dense_mla_decode",
    name="torch",
    summary="eager torch: gather pages, bmm, softmax, bmm, merge",
    device_types=("cpu", "cuda"),
    tunables=(Tunable("BLOCK_KV", (512, 2048, 8192), "keys gathered and multiplied at once"), VALUE_PRODUCT),
    default_config=_default_config,
    run=run,
    describe=describe,
)
