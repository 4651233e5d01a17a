"""`sparse_mla_prefill` in eager torch: gather the selected rows of a few queries, then two batched products."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from dsabench.kernels.attention_torch import VALUE_PRODUCT, attend, f32_scores, sink_factor
from dsabench.kernels.implementation import Config, ConfigValue, Implementation, Tunable
from dsabench.kernels.op import Axes, Outputs
from dsabench.kernels.sparse_entries import counted_entries

if TYPE_CHECKING:
    from dsabench.kernels.sparse_mla_prefill.contract import Inputs


def _default_config(axes: Axes) -> dict[str, ConfigValue]:
    return {"BLOCK_Q": 1, "PV": "bf16"}


def _constraint(config: Config, axes: Axes) -> str | None:
    block = int(config["BLOCK_Q"])
    if block > 1 and block > axes["s_q"]:
        return f"BLOCK_Q = {block} is more than s_q = {axes['s_q']}"
    gathered = block * axes["topk"] * 576 * 4
    if block > 1 and gathered > 64 << 20:
        return f"BLOCK_Q = {block} would gather {gathered >> 20} MiB at once; the limit is 64"
    return None


def run(inputs: Inputs, outputs: Outputs, config: Config) -> None:
    """Writes out bf16 [s_q, h_q, 512] and lse f32 [s_q, h_q] into `outputs`."""
    out, lse = outputs
    block = int(config["BLOCK_Q"])
    indices, kv = inputs.indices[:, 0], inputs.kv[:, 0]
    counted = counted_entries(indices, inputs.topk_length, kv.shape[0])
    for first in range(0, inputs.q.shape[0], block):
        here = slice(first, first + block)
        valid = counted[here]
        gathered = kv[torch.where(valid, indices[here], 0).long()]
        if not bool(valid.all()):
            gathered.masked_fill_(~valid[..., None], 0)  # an unused row may hold NaN, and 0 · NaN is NaN
        scores = f32_scores(inputs.q[here], gathered, inputs.sm_scale)
        scores.masked_fill_(~valid[:, None], -torch.inf)
        result, row_lse = attend(scores, gathered[..., :512], str(config["PV"]))
        if inputs.attn_sink is not None:
            result = result * sink_factor(row_lse[..., 0], inputs.attn_sink)[..., None]
        out[here] = result
        lse[here] = row_lse[..., 0]


def describe(config: Config) -> str:
    return f"eager torch {torch.__version__}, {torch.get_num_threads()} threads, QK f32, PV {config['PV']}"


IMPLEMENTATION = Implementation(
    op="sparse_mla_prefill",
    name="torch",
    summary="eager torch: gather, bmm, softmax, bmm",
    device_types=("cpu", "cuda"),
    tunables=(Tunable("BLOCK_Q", (1, 2, 4, 8), "queries gathered and multiplied at once"), VALUE_PRODUCT),
    default_config=_default_config,
    constraint=_constraint,
    run=run,
    describe=describe,
)
